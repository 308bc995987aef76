"""Keys: what is known by its content has the hash of that content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(content: Mapping[str, Any]) -> str:
    """12 hex digits of the sha256 of plain values."""
    return digest_of(texts(content))


def texts(content: Mapping[str, Any]) -> dict[str, str]:
    """Plain values, each as the text that is hashed: what many contents share is written once."""
    return {name: json.dumps(value, sort_keys=True, separators=(",", ":")) for name, value in content.items()}


def digest_of(texts: Mapping[str, str]) -> str:
    """The digest of a content whose values are texts already."""
    joined = ",".join(f"{json.dumps(name)}:{texts[name]}" for name in sorted(texts))
    return hashlib.sha256(f"{{{joined}}}".encode()).hexdigest()[:12]
