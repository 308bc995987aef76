"""The same work for many files in several processes, which end with the one that asked for it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from vtbench.errors import RunError
from vtbench.processes.bystanders import stand_by

__all__ = ["in_processes"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4  # items that wait for each process


def in_processes(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[tuple[Item, Result]]:
    """(item, work(item)) in the order in which they end; with one worker in this process, in order.

    `work` and items are pickled. Where the generator is closed or interrupted, items that no process works at are left.
    Raises what `work` raises, and RunError if a process is killed.
    """
    if workers <= 1:
        for item in items:
            yield item, work(item)
        return
    # Not forked: FFmpeg's, numpy's and torch's threads would not survive it.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=stand_by)
    waiting: dict[Future[Result], Item] = {}
    try:
        for item in items:
            waiting[pool.submit(work, item)] = item
            if len(waiting) >= _AHEAD * workers:
                yield from _ended(waiting)
        while waiting:
            yield from _ended(waiting)
    except BrokenProcessPool as error:
        why = "one of the processes was ended from outside, perhaps for want of memory"
        raise RunError(f"{why}; run the same command with fewer workers: what is finished is kept") from error
    finally:
        # Not as a context manager: that would wait for all that was asked for.
        pool.shutdown(wait=False, cancel_futures=True)


def _ended(waiting: dict[Future[Result], Item]) -> Iterator[tuple[Item, Result]]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for one in done:
        yield waiting.pop(one), one.result()
