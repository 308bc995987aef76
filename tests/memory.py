"""How much memory a script takes at most, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import vtbench

# Not getrusage: it counts what the process that started this one took.
_PEAK = """
import re
from pathlib import Path
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def peak_mib(script: str, *arguments: str | Path) -> int:
    """MiB. The script prints nothing on stderr, and ends within a minute. Skips the test where the system does not say
    it."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    environment = {**os.environ, "PYTHONPATH": str(Path(vtbench.__file__).parent.parent)}
    command = [sys.executable, "-c", script + _PEAK, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return int(done.stdout.split()[-1]) // 1024
