"""Batches assembled in a thread of their own while the network works."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import torch

Read = TypeVar("Read")

_AHEAD = 3
"""Batches that may wait for the network."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops of one step."""

    images: torch.Tensor
    """(n, 3, y, x) uint8 RGB, channels last in memory."""
    classes: torch.Tensor
    """(n, y, x) uint8."""


def ahead(read: Callable[[int], Read], first: int, end: int) -> Generator[Read]:
    """Yield ``read(step)`` for each step from first to before end, read ahead in one thread.

    What a batch holds depends on its step alone, never on the timing of the thread. An error in
    ``read`` is raised where its batch would have come. Close the iterator to stop the thread.
    """
    waiting: deque[Future[Read]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for step in range(first, end):
            waiting.append(pool.submit(read, step))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
