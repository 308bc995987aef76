"""CPU time of `vtbench list`, in turns with another checkout: `python tests/speed/list_time.py OTHER [--runs 7]`.

OTHER is the folder of a checkout, of the commit before for example (`git worktree add OTHER HEAD~1`); both run with
this Python. Printed are the least seconds of user and system time of each, and their ratio.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]


def seconds(checkout: Path) -> float:
    """CPU seconds of one `vtbench list`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-m", "vtbench", "list"]
    subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Warm up, then take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="folder of the checkout to compare with")
    parser.add_argument("--runs", type=int, default=7, help="of each; default: 7")
    args = parser.parse_args()
    checkouts = {"this": HERE, "other": args.other.resolve()}
    taken: dict[str, list[float]] = {name: [] for name in checkouts}
    for turn in range(args.runs + 1):
        for name, folder in checkouts.items():
            found = seconds(folder)
            if turn:  # the first one writes byte code
                taken[name].append(found)
    for name, times in taken.items():
        print(f"{name:<6} least {min(times):.3f} s of {len(times)} runs, median {sorted(times)[len(times) // 2]:.3f} s")
    print(f"ratio of the least: {min(taken['this']) / min(taken['other']):.3f}")


if __name__ == "__main__":
    main()
