"""What was decoded of files, kept in memory up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

__all__ = ["MAX_BYTES", "SHARED", "FileCache"]

MAX_BYTES = 8 << 30
"""What SHARED holds at most: 8 GiB. The videos of all synthetic sets as the mini scale uses them take 6 GB together,
half of it `bits`, so none is read twice; a set that is larger than the cache gains little from it."""


class FileCache:
    """Values by key, the least recently used dropped first.

    max_bytes: the sum of the sizes that `put` is given never exceeds it. A single value that is larger is not kept. A
    copy in another process (a worker of a DataLoader) starts out empty.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        """Bytes held now."""
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Any:
        """The value of `key`, or None."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def put(self, key: Hashable, value: Any, num_bytes: int) -> None:
        """Keep `value`, which takes `num_bytes`, in place of what `key` had."""
        self.num_bytes -= self._values.pop(key, (None, 0))[1]
        if num_bytes > self.max_bytes:
            return
        self._values[key] = value, num_bytes
        self.num_bytes += num_bytes
        while self.num_bytes > self.max_bytes:
            _, (_, dropped) = self._values.popitem(last=False)
            self.num_bytes -= dropped

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self.num_bytes = 0

    def __reduce__(self) -> tuple[type[FileCache], tuple[int]]:
        return FileCache, (self.max_bytes,)


SHARED = FileCache()
"""The cache of this process: runs below paper scale keep their videos here, whichever training reads them."""
