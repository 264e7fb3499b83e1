"""Locks between processes of one host: files held with flock, which die with their process.

Nothing that a killed run held can block the next one, and no lock needs to expire. A descriptor is
close-on-exec (Python's default), so no child keeps the lock of its parent alive.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from models.errors import BusyError, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storage.layout import Workspace

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.005, 0.25
"""Between two tries to get a lock: a wait must be able to end, so it is no single system call."""

IfBusy = Literal["join", "wait", "skip"]
"""What a retraining does when another is at work in its workspace: go on beside it, each stage made
once; begin when that has ended; or not begin."""

logger = logging.getLogger(__name__)

_alone: set[Path] = set()
"""Lock files that this process holds for itself."""


@contextmanager
def exclusive(path: Path, waiting: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold a lock file while the block runs; wait for whoever holds it.

    Parameters
    ----------
    path
        The lock file; made if need be, and never removed: a lock on a removed file is none.
    waiting
        Called again and again during the wait, with who holds the lock; raise to give up.
    """
    with _held(path, fcntl.LOCK_EX, waiting):
        yield


def workspace_lock(at: Workspace) -> Path:
    """Return the lock file of the whole workspace."""
    return at.ledger / "workspace.lock"


@contextmanager
def shared(at: Workspace) -> Iterator[None]:
    """Use a workspace beside others who do, and keep out who wants it alone.

    Everyone who writes holds this: a run for its whole time, a command from its first artefact to
    the last file that refers to one. Waits while somebody else has the workspace alone.

    Raises
    ------
    WorkspaceError
        If the lock file cannot be made.
    """
    path = workspace_lock(at)
    if path.absolute() in _alone:
        yield
        return
    with _held(path, fcntl.LOCK_SH, _Said(f"{at.root} is being cleaned or migrated")):
        yield


@contextmanager
def alone(at: Workspace) -> Iterator[None]:
    """Have a workspace for oneself, for what must not meet a run: `gc` and migrations.

    Who has it already has it.

    Raises
    ------
    BusyError
        At once, if anybody uses the workspace: who cleans waits for nobody.
    """
    path = workspace_lock(at)
    if path.absolute() in _alone:
        yield
        return
    with _held(path, fcntl.LOCK_EX, _refuse_to_wait(at)):
        _alone.add(path.absolute())
        try:
            yield
        finally:
            _alone.discard(path.absolute())


@contextmanager
def retraining(at: Workspace, if_busy: IfBusy) -> Iterator[None]:
    """Be a retraining of a workspace, beside others or as the only one.

    Raises
    ------
    BusyError
        If another retraining is at work and this one is to be skipped then.
    """
    how = fcntl.LOCK_SH if if_busy == "join" else fcntl.LOCK_EX
    said = _Said(f"a retraining of {at.root} is under way")
    waiting = _refuse_to_join(at) if if_busy == "skip" else said
    with _held(at.ledger / "retraining.lock", how, waiting):
        yield


def holders(path: Path) -> tuple[int, ...]:
    """Return the ids of the processes that hold a lock file, as far as the kernel tells."""
    try:
        inode = str(path.stat().st_ino)
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return ()
    # 1: FLOCK  ADVISORY  WRITE 4711 fd:01:131090 0 EOF; one who waits has "->" before its kind.
    fields = [line.split() for line in lines]
    found = {
        int(one[4])
        for one in fields
        if one[1] == "FLOCK" and one[5].rpartition(":")[2] == inode and int(one[4]) > 0
    }
    return tuple(sorted(pid for pid in found if _has_open(pid, path)))


def _has_open(pid: int, path: Path) -> bool:
    """Return whether a process has a file open: inode numbers repeat on other filesystems."""
    try:
        opened = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    return any(_is_same(descriptor, path) for descriptor in opened)


def _is_same(descriptor: Path, path: Path) -> bool:
    try:
        return descriptor.samefile(path)
    except OSError:
        return False


def named(pids: tuple[int, ...]) -> str:
    """Return processes as a reader takes them."""
    if not pids:
        return "another process"
    return ("process " if len(pids) == 1 else "processes ") + ", ".join(map(str, pids))


@contextmanager
def _held(path: Path, how: int, waiting: Callable[[str], None]) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise WorkspaceError(
            f"{path}: the lock cannot be made ({error.strerror}). Make room or mend the "
            f"permissions, then run the same command again."
        ) from error
    try:
        pause = FIRST_PAUSE_S
        while not _taken(descriptor, how):
            waiting(named(holders(path)))
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Said:
    """Says once why it takes longer."""

    def __init__(self, why: str) -> None:
        self._why, self._is_said = why, False

    def __call__(self, who: str) -> None:
        """Log who is waited for, the first time."""
        if not self._is_said:
            logger.warning("%s by %s: waiting until that is done.", self._why, who)
        self._is_said = True


def _refuse_to_join(at: Workspace) -> Callable[[str], None]:
    def refuse(who: str) -> None:
        raise BusyError(
            f"{at.root}: {who} retrains here already, and this run was told to be skipped then. "
            f"The next one will find what that leaves; or ask for if_busy: wait."
        )

    return refuse


def _refuse_to_wait(at: Workspace) -> Callable[[str], None]:
    def refuse(who: str) -> None:
        raise BusyError(
            f"{at.root}: {who} uses the workspace, and this needs it alone. Wait until that has "
            f"ended, or stop it, then run the same command again."
        )

    return refuse
