"""A folder that is made beside its place and put there when it is whole, by one process at a time.

The lock is on the unfinished folder itself: it dies with its process, and what a killed process
left is taken over by the next one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.errors import BusyError, WrongUseError
from storage.locks import holders, named

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def fresh_folder(to: Path) -> Iterator[Path]:
    """Yield an empty folder that is called `to` when the block ends, or is gone if that fails.

    Raises
    ------
    BusyError
        If another process makes the same just now; it is named.
    WrongUseError
        If there is something by now.
    """
    fresh = to.with_name(f".{to.name}.partial")
    descriptor = _taken(fresh, to)
    try:
        try:
            _require_nothing(to)
            _empty(fresh)
            yield fresh
            if to.exists():
                to.rmdir()
            fresh.rename(to)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    finally:
        os.close(descriptor)


def _taken(fresh: Path, to: Path) -> int:
    """Return the open folder, which is ours alone."""
    while True:
        fresh.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # another process has just put it in its place
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BusyError(
                f"{to}: {named(holders(fresh))} makes it just now. Wait until that has ended, or "
                f"name another folder."
            ) from None
        if _is_still(descriptor, fresh):
            return descriptor
        os.close(descriptor)


def _is_still(descriptor: int, fresh: Path) -> bool:
    """Return whether the folder was not put in its place while we took it."""
    try:
        return os.path.samestat(os.fstat(descriptor), fresh.stat())
    except FileNotFoundError:
        return False


def _require_nothing(to: Path) -> None:
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise WrongUseError(f"{to}: is there by now: another process has made it.")


def _empty(folder: Path) -> None:
    """Remove what a process that was killed has left in a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
