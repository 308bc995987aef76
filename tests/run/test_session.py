"""What becomes of an error in a training or a test."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vtbench.errors import RunError
from vtbench.results import folders
from vtbench.run.session import errors_in_one_line

HINT = "; try a smaller --batch-size, fewer --workers or --data-workers, or --grad-checkpointing"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB"), f"3 GiB{HINT} (traceback"),
        (MemoryError(), f"MemoryError{HINT} (traceback"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 4000 bytes"), f"4000 bytes{HINT} (traceback"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), f"Killed.{HINT} (traceback"),
        (RuntimeError("shapes differ"), "shapes differ (traceback"),
    ],
    ids=["device", "python", "torch", "loader", "other"],
)
def test_short_memory_is_said_with_what_to_do(error: BaseException, said: str, tmp_path: Path) -> None:
    with pytest.raises(RunError) as raised, errors_in_one_line(tmp_path):
        raise error
    assert said in str(raised.value) and "\n" not in str(raised.value)
    assert (tmp_path / folders.ERROR).exists()
    with errors_in_one_line(tmp_path):
        pass
    assert not (tmp_path / folders.ERROR).exists()
