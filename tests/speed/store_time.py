"""What commands take on large stores: `python tests/speed/store_time.py [--lines 1000 10000 100000]`.

A store is made of every row's measurements at mini scale, seed after seed. Printed are CPU seconds (user and system)
and the largest resident set of `report` of all rows, the CPU seconds until `run` prints its first line with one
training run to do, and the milliseconds of a line that is looked up and appended.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(HERE), str(HERE / "tests")]

from big_store import write_store  # noqa: E402

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
REPORT = """
import os, sys
from vtbench.cli import main
code = main(["report", "--results", sys.argv[1], "--format", "md"])
used = os.times()
(most,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(used.user + used.system, int(most) / 1024, file=sys.stderr)  # ru_maxrss is at least that of the parent process
sys.exit(code)
"""


def report(results: Path) -> tuple[float, float]:
    """CPU seconds and MB (1024 squared bytes) of `report` of all rows, in a process of its own."""
    command = [sys.executable, "-c", REPORT, str(results)]
    done = subprocess.run(command, env=ENVIRONMENT, cwd=results, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") > 500
    seconds, memory = done.stderr.split()[-2:]
    return float(seconds), float(memory)


def first_line(results: Path) -> tuple[str, float]:
    """The first line that `run` prints where one training run is to do, and the CPU seconds until then."""
    command = [sys.executable, "-m", "vtbench", "run", "msca/table2:vit", "--scale", "mini", "--seeds", "123456"]
    with subprocess.Popen(
        [*command, "--results", str(results)],
        env=ENVIRONMENT,
        cwd=results,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline().rstrip()
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        os.killpg(process.pid, signal.SIGKILL)
    return line, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def append_ms(results: Path, lines: int = 200) -> float:
    """CPU milliseconds of a line that is looked up and appended, after the first."""
    from vtbench.results.store import Store

    store = Store(results)
    like = store.read()[-1]
    first = 1 + max(record.seed for record in store.read())
    store.append_missing([like])
    start = time.process_time()
    for number in range(lines):
        assert store.append_missing([replace(like, seed=first + number)])
    return 1000 * (time.process_time() - start) / lines


def main() -> None:
    """Make each store, and print a line on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, nargs="+", default=[1000, 10_000, 100_000])
    for lines in parser.parse_args().lines:
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder)
            write_store(results, lines)
            seconds, memory = report(results)
            text, begun = first_line(results)
            print(
                f"{lines} lines: report {seconds:.1f} CPU s, {memory:.0f} MB; "
                f"run says {text!r} after {begun:.1f} CPU s; append {append_ms(results):.2f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
