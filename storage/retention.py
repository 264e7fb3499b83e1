"""What goes from a workspace with time, by rules, without breaking the lineage of what stays.

On top of what `storage.collecting` says of artefacts: unfinished work that nobody came back to,
names of reports that are gone, and logs of servers beyond a size.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.collecting import Leftover, collect
from storage.layout import Kind
from storage.locks import alone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage.layout import Workspace

DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What may go."""

    keep_runs: int | None = 20
    """How many of the latest runs keep all that they made; None: all. Runs that are not completed
    do, whatever their number."""
    unfinished_days: float = 30.0
    """How long the state of a training that was killed waits for somebody to go on with it."""
    log_mib: float = 50.0
    """From which size on a log of a server is put aside as ``.1``, in place of the one before."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """What went, or would go."""

    n_kept: int
    """Artefacts that stay."""
    leftovers: tuple[Leftover, ...]

    @property
    def bytes_freed(self) -> int:
        """Return how much room that makes."""
        return sum(one.bytes_freed for one in self.leftovers)


def tidy(at: Workspace, rules: Rules, *, dry_run: bool = False) -> Tidied:
    """Remove what may go, with the workspace for oneself.

    Raises
    ------
    BusyError
        At once, if anybody uses the workspace.
    """
    with alone(at):
        collected = collect(at, keep_runs=rules.keep_runs, dry_run=dry_run)
        stale = tuple(_stale(at, rules))
        if not dry_run:
            for one in stale:
                _gone(at, one)
            for link in _dangling(at):
                link.unlink()
    return Tidied(collected.n_kept, (*collected.leftovers, *stale))


def _stale(at: Workspace, rules: Rules) -> Iterator[Leftover]:
    before = time.time() - rules.unfinished_days * DAY_S
    for folder in sorted((at.ledger / "unfinished").glob("[0-9a-f]*")):
        files = [path.stat() for path in folder.rglob("*") if path.is_file()]
        newest = max((one.st_mtime for one in files), default=folder.stat().st_mtime)
        if newest < before:
            size = sum(one.st_size for one in files)
            yield Leftover(str(folder.relative_to(at.root)), folder, size)
    for log in _logs(at):
        if log.stat().st_size > rules.log_mib * 2**20:
            old = _aside(log)
            size = old.stat().st_size if old.exists() else 0
            yield Leftover(str(log.relative_to(at.root)), log, size)


def _logs(at: Workspace) -> list[Path]:
    return sorted([*(at.root / "servers").glob("*.log"), *at.prefect_home.glob("*.log")])


def _aside(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")


def _gone(at: Workspace, one: Leftover) -> None:
    if not one.path.resolve().is_relative_to(at.root.resolve()):
        raise AssertionError(f"{one.path} is not in {at.root}")
    if one.path.is_dir():
        shutil.rmtree(one.path)
        return
    # Who writes has the file open, to append: it is copied and emptied, not renamed.
    fresh = one.path.with_name(f".{one.path.name}.new")
    shutil.copyfile(one.path, fresh)
    fresh.replace(_aside(one.path))
    with one.path.open("r+b") as stream:
        stream.truncate(0)


def _dangling(at: Workspace) -> Iterator[Path]:
    """Yield the names of runs whose report is gone."""
    for link in (at.root / Kind.REPORT).glob("[0-9a-f]*"):
        if link.is_symlink() and not link.exists():
            yield link
