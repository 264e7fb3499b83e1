"""How many regions one process holds in memory at a time."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage.arrays import SHARD_PX

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_PX = SHARD_PX**2
"""Of regions that are worked on at once. A region may be larger than that: it is then alone."""

_changed = threading.Condition()
_held: list[int] = []


@contextmanager
def room_for(shape: tuple[int, ...]) -> Iterator[None]:
    """Wait until there is room for a region of that many pixels, and hold it meanwhile.

    Merging takes about 50 bytes for a pixel (a region of 4096 x 4096: 0.85 GB, measured): without
    this, each thread would take as much.
    """
    n_px = shape[0] * shape[1]
    with _changed:
        _changed.wait_for(lambda: not _held or sum(_held) + n_px <= MOST_PX)
        _held.append(n_px)
    try:
        yield
    finally:
        with _changed:
            _held.remove(n_px)
            _changed.notify_all()
