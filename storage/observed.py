"""What a look at a workspace shows without touching it: who is at work, how much room there is."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.locks import holders

if TYPE_CHECKING:
    from pathlib import Path

    from storage.layout import Workspace

LOOK_S = 2.0
"""How long the files of a workspace are counted: a screen must not wait for millions of them."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of a workspace."""

    free: int
    """Bytes."""
    total: int
    used: int | None
    """Bytes of the workspace itself; None if there are too many files to count them quickly."""


def disk_of(at: Workspace, *, seconds: float = LOOK_S) -> Disk:
    """Return how much room there is where the workspace lies, or would lie."""
    usage = shutil.disk_usage(existing(at.root))
    return Disk(usage.free, usage.total, _used(at.root, time.monotonic() + seconds))


def existing(path: Path) -> Path:
    """Return a path, or the nearest folder above it that is there."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return place


def _used(root: Path, deadline: float) -> int | None:
    """Return the bytes of all files below a folder; a file with several names counts once."""
    total, seen, waiting = 0, set(), [root] if root.is_dir() else []
    while waiting:
        if time.monotonic() > deadline:
            return None
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(root.__class__(entry.path))
                    continue
                state = entry.stat(follow_symlinks=False)
                if state.st_nlink > 1 and state.st_ino in seen:
                    continue
                seen.add(state.st_ino)
                total += state.st_size
    return total


def retrains(at: Workspace) -> bool:
    """Return whether a retraining is at work in the workspace, as far as the kernel tells.

    The lock itself is not touched: a retraining that begins at this moment would be skipped for it.
    """
    return bool(holders(at.ledger / "retraining.lock"))


def is_made_now(at: Workspace, key: str) -> bool:
    """Return whether a process makes a stage just now, of whatever user or container."""
    path = at.ledger / "locks" / f"{key}.lock"
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Who wants it at this moment waits for a few milliseconds.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
