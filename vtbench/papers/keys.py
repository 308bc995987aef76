"""Keys: what is known by its content has the hash of that content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(content: Mapping[str, Any]) -> str:
    """12 hex digits of the sha256 of plain values."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
