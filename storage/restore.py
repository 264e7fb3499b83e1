"""Putting a backup back: every byte is checked first, and nothing that is there is overwritten."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import IntegrityError, WorkspaceError, WrongUseError
from storage.artefacts import hash_file, storing
from storage.backup import DATABASES, WORKSPACE
from storage.databases import load, n_tables
from storage.fresh_folder import fresh_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage.backup import Advance, Backup
    from storage.databases import Database
    from storage.layout import Workspace


def damage(backup: Backup, advance: Advance) -> list[str]:
    """Read every byte of a copy and return what is not as it was written."""
    found = []
    for done, (name, entry) in enumerate(backup.files.items()):
        advance(done, len(backup.files))
        path = backup.path / name
        if ".." in path.parts or Path(name).is_absolute():
            found.append(f"{name}: leads out of the backup")
        elif not _is_as_written(path, entry):
            found.append(f"{name}: missing or altered")
    return found


def _is_as_written(path: Path, entry: Mapping[str, Any]) -> bool:
    try:
        if "link" in entry:
            return bool(str(path.readlink()) == entry["link"])
        same_size = path.stat().st_size == entry["size"]
        return same_size and bool(hash_file(path) == entry["sha256"])
    except OSError:
        return False


def restore(
    backup: Backup, at: Workspace, databases: Mapping[str, Database], advance: Advance
) -> None:
    """Put a copy back where nothing is.

    Parameters
    ----------
    backup
        The copy.
    at
        Where the workspace is to be.
    databases
        Empty ones, by server, for those that the copy holds.
    advance
        Told how far the checking is.

    Raises
    ------
    WrongUseError
        If anything is there already.
    IntegrityError
        If the copy is damaged.
    """
    _require_nothing(at, databases)
    harm = damage(backup, advance)
    if harm:
        shown = "; ".join(harm[:3]) + (f" and {len(harm) - 3} more" * (len(harm) > 3))
        raise IntegrityError(f"{backup.path}: damaged: {shown}. Nothing was restored.")
    with storing(at.root.parent, "the restored workspace"), fresh_folder(at.root) as fresh:
        _put_back(backup, fresh)
        for server, database in databases.items():
            load(database, backup.path / DATABASES / f"{server}.dump")


def _require_nothing(at: Workspace, databases: Mapping[str, Database]) -> None:
    if at.root.exists() and (not at.root.is_dir() or any(at.root.iterdir())):
        raise WrongUseError(
            f"{at.root}: something is there already, and is not overwritten. Move it away, or "
            f"restore to another place with --workspace."
        )
    for server, database in databases.items():
        count = n_tables(database)
        if count:
            raise WrongUseError(
                f"{server}'s database {database} has {count} tables, and is not overwritten. Make "
                f"an empty one (dropdb, createdb) and name it."
            )


def _put_back(backup: Backup, fresh: Path) -> None:
    source = backup.path / WORKSPACE
    if not source.is_dir():
        raise WorkspaceError(f"{backup.path}: holds no workspace.")
    known: dict[int, Path] = {}
    for name in backup.files:
        if not name.startswith(f"{WORKSPACE}/"):
            continue
        path, target = backup.path / name, fresh / Path(name).relative_to(WORKSPACE)
        target.parent.mkdir(parents=True, exist_ok=True)
        state = path.lstat()
        if state.st_ino in known:
            target.hardlink_to(known[state.st_ino])
            continue
        shutil.copy2(path, target, follow_symlinks=False)
        if state.st_nlink > 1:
            known[state.st_ino] = target
    os.sync()
