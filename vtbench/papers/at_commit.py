"""Specs as they were at a commit of vtbench: that commit's own code reads its own files, in a folder made for it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from vtbench.errors import UsageError
from vtbench.papers.roots import PACKAGE
from vtbench.scales import Scale


def settings_at(selector: str, scale: Scale, commit: str) -> dict[str, Any]:
    """Dotted key -> value of the first measurement that a selector names, as `vtbench show --format json` of that
    commit gives it.

    Raises UsageError outside a checkout, for a commit that it does not have, and with the message of that commit for a
    row that it does not have.
    """
    top = PACKAGE.parent
    archive = ["git", "-C", str(top), "archive", commit, "vtbench", "benchmarks", "data_manifests"]
    done = subprocess.run(archive, capture_output=True)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or ["git cannot read it"]
        raise UsageError(f"--commit {commit}: {reason[0]}; name a commit of the checkout that vtbench runs from")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as files:
            files.extractall(folder, filter="data")
        shown = subprocess.run(
            [sys.executable, "-m", "vtbench", "show", selector, "--scale", scale, "--format", "json"],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(folder))},
        )
    if shown.returncode:
        last = (shown.stderr.strip().splitlines() or ["show failed"])[-1]
        raise UsageError(f"--commit {commit}: {last.removeprefix('vtbench: ')}")
    measurement = json.loads(shown.stdout)[0]["measurements"][0]
    settings = {key: leaf["value"] for key, leaf in measurement["recipe"].items()}
    for change in measurement["changes"]:
        settings[change["key"]] = change["now"]
    return {key: value for key, value in settings.items() if value is not None}
