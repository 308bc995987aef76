"""How the processes end that work for a run."""

from __future__ import annotations

import atexit
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from vtbench.run.jobs.child import Child


def _leave_work_behind(pipe: Connection, folder: Path) -> None:
    def late() -> None:
        time.sleep(0.5)
        (folder / "thread").touch()

    atexit.register((folder / "atexit").touch)
    threading.Thread(target=late).start()


def test_a_process_ends_after_its_threads_and_what_is_registered_for_its_end(tmp_path: Path) -> None:
    child = Child(_leave_work_behind, tmp_path)
    child.process.join(timeout=60)
    assert child.process.exitcode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"thread", "atexit"}
