"""Bring what an older signetflow wrote to today's formats; a kill at any moment leaves old or new.

Each artefact is changed in a copy, which then takes the place of the old one under the same digest.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import WorkspaceError
from storage.artefacts import MANIFEST, format_of, seal, storing, sync
from storage.formats import CURRENT, MIGRATIONS
from storage.layout import Kind, Ref
from storage.ledger import Ledger
from storage.locks import alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storage.layout import Workspace

OLD, NEW = ".outdated-", ".migrated-"
"""How the two folders of one artefact are called while one takes the place of the other."""


@dataclass(frozen=True, slots=True)
class Outdated:
    """What is not in today's format."""

    artefacts: tuple[Ref, ...]
    ledger: bool

    def __bool__(self) -> bool:
        return bool(self.artefacts) or self.ledger


def outdated(at: Workspace) -> Outdated:
    """Return what must be migrated before it can be read.

    Raises
    ------
    WorkspaceError
        If something was written by a newer signetflow.
    """
    found = (ref for kind in Kind for ref in _visible(at, kind))
    artefacts = tuple(ref for ref in found if format_of(at, ref) < CURRENT[ref.kind])
    return Outdated(artefacts, Ledger(at).is_outdated())


def migrate(at: Workspace, advance: Callable[[int, int], None]) -> Outdated:
    """Bring a workspace to today's formats and return what was not in them.

    Parameters
    ----------
    at
        The workspace; nobody else may use it meanwhile.
    advance
        Called with the number of artefacts done and their total.

    Raises
    ------
    WorkspaceError
        If the workspace is in use, full, from a newer signetflow, or so old that no way leads on.
    """
    with alone(at), storing(at.root, "a migrated artefact"):
        _finish(at)
        todo = outdated(at)
        for done, ref in enumerate(todo.artefacts):
            advance(done, len(todo.artefacts))
            _migrate(at, ref)
        Ledger(at).migrate()
    return todo


def _visible(at: Workspace, kind: Kind) -> list[Ref]:
    folders = sorted((at.root / kind).glob(f"[!.]*/{MANIFEST}"))
    return [Ref(kind, one.parent.name) for one in folders if not one.parent.is_symlink()]


def _migrate(at: Workspace, ref: Ref) -> None:
    folder = at.path(ref)
    old, new = (folder.with_name(prefix + ref.digest) for prefix in (OLD, NEW))
    shutil.rmtree(new, ignore_errors=True)
    # a real copy: label versions share files, and a step may write into one
    shutil.copytree(folder, new, ignore=shutil.ignore_patterns(MANIFEST))
    for version in range(format_of(at, ref), CURRENT[ref.kind]):
        _step(ref.kind, version)(new)
    seal(new, ref.kind, ref.digest)
    folder.rename(old)
    new.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old)


def _step(kind: Kind, version: int) -> Callable[[Path], None]:
    if (kind, version) not in MIGRATIONS:
        raise WorkspaceError(
            f"{kind} of format {version}: this signetflow knows no way from there to format "
            f"{CURRENT[kind]}. Migrate with an older signetflow first."
        )
    return MIGRATIONS[kind, version]


def _finish(at: Workspace) -> None:
    """Bring to its end what a kill left between the old folder's going and the new one's coming."""
    for kind in Kind:
        for old in (at.root / kind).glob(f"{OLD}*"):
            digest = old.name.removeprefix(OLD)
            folder, new = old.with_name(digest), old.with_name(NEW + digest)
            if not folder.exists():
                (new if (new / MANIFEST).exists() else old).rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        for new in (at.root / kind).glob(f"{NEW}*"):
            shutil.rmtree(new)
