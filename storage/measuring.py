"""Many files measured at once, each in a child with limits, all of them in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import LifoQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, Self, TypeVar

from storage.images import MEMORY_LIMIT_MB, ImageDecoder, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from storage.images import Measured

MOST_CHILDREN = 10
MEMORY_MB = MEMORY_LIMIT_MB
"""Of all children together."""
SMALLEST_MB, LARGEST_MB = 128, 384
"""Of one child among many. What needs more is measured alone, by one that has all of it."""
WAITING_PER_CHILD = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def n_cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # pragma: no cover  # macOS


class Measurer:
    """Children that measure files, one for each core; threads may share it.

    Parameters
    ----------
    n_children : int, optional
        By default one for each core, at most `MOST_CHILDREN`.
    """

    def __init__(self, n_children: int | None = None) -> None:
        self.n_children = n_children or min(n_cores(), MOST_CHILDREN)
        limit_mb = min(LARGEST_MB, max(SMALLEST_MB, MEMORY_MB // self.n_children))
        self._decoders = [ImageDecoder(limit_mb) for _ in range(self.n_children)]
        self._large = ImageDecoder(MEMORY_MB)
        self._free: LifoQueue[ImageDecoder] = LifoQueue()
        for decoder in self._decoders:
            decoder.start()  # while the caller still finds out what to measure
            self._free.put(decoder)
        self._alone = Lock()
        self._threads = ThreadPoolExecutor(self.n_children)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up what is under way and end the children."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for decoder in (*self._decoders, self._large):  # what they do now is of no use any more
            decoder.close()
        self._threads.shutdown(wait=True)
        for decoder in (*self._decoders, self._large):
            decoder.close()

    def measure(self, path: Path, mpp: float | None = None, **how: Any) -> Measured:  # noqa: ANN401  # as there
        """Return what a file is; as `ImageDecoder.measure`, from any thread.

        Raises
        ------
        ImageError
            If it is missing, damaged, needs too much memory or cannot be read faithfully.
        """
        try:
            with self._one() as decoder:
                return decoder.measure(path, mpp, **how)
        except OutOfMemoryError:
            with self._all(), self._large:
                return self._large.measure(path, mpp, **how)

    @contextmanager
    def _one(self) -> Iterator[ImageDecoder]:
        decoder = self._free.get()
        try:
            yield decoder
        finally:
            self._free.put(decoder)

    @contextmanager
    def _all(self) -> Iterator[None]:
        """Have all children end, and none start meanwhile: one file gets the memory of all."""
        with self._alone:
            taken = [self._free.get() for _ in range(self.n_children)]
        for decoder in taken:
            decoder.close()
        try:
            yield
        finally:
            for decoder in taken:
                self._free.put(decoder)

    def ahead(
        self, items: Iterable[Item], work: Callable[[Item], Result]
    ) -> Iterator[tuple[Item, Future[Result]]]:
        """Yield items in their order, each with the result of its work, which began before.

        Parameters
        ----------
        items : iterable
            Some are asked for before the first is yielded, and what they raise is raised then.
        work : callable
            Called in threads; what it raises is raised by ``result()``.
        """
        waiting: deque[tuple[Item, Future[Result]]] = deque()
        for item in items:
            waiting.append((item, self._threads.submit(work, item)))
            if len(waiting) > WAITING_PER_CHILD * self.n_children:
                yield waiting.popleft()
        yield from waiting
