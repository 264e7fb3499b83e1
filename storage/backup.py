"""A copy of a workspace and of the servers' databases that can be put back, or is refused.

Runs may go on meanwhile: artefacts never change, and what refers to them is copied first: the
ledger, then tags and standings, then the artefacts. What is committed later than the ledger was
copied is known to nobody in the copy, and made again by the next run that asks for it. `gc` and
migrations wait: the workspace is held as by a run.

The copy is a folder: ``BACKUP.json`` with the sha256 of every file, ``workspace``, ``databases``.
It is written beside its place and renamed when it is whole.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from models.errors import IntegrityError, WrongUseError
from storage.artefacts import MANIFEST as ARTEFACT
from storage.artefacts import digest_of, hash_file, storing, write_whole
from storage.databases import copy_sqlite, dump
from storage.fresh_folder import fresh_folder
from storage.layout import Kind, Workspace
from storage.locks import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from storage.databases import Database

    Advance = Callable[[int, int], None]

MANIFEST = "BACKUP.json"
FORMAT_VERSION = 1
WORKSPACE, DATABASES = "workspace", "databases"
OF_SERVERS = {"mlflow": "mlflow.db", "prefect": "prefect/prefect.db"}
"""The SQLite files of servers that have no other database."""
SQLITE = ("ledger/ledger.db", *OF_SERVERS.values())
"""In the order of copying: MLflow's after the ledger, which says what MLflow was told."""
BESIDE = ("-wal", "-shm", "-journal")
LEFT_OUT = ("servers", "ledger/locks")
"""Logs, and locks that their processes take with them."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a copy holds."""

    path: Path
    created: str
    workspace: str
    """Where the workspace was."""
    files: Mapping[str, Mapping[str, Any]]
    """Size and sha256 by path in the copy; a symbolic link has its target instead."""
    databases: tuple[str, ...]
    """Servers whose PostgreSQL database is in it."""
    harm: tuple[str, ...] = ()
    """Artefacts that were damaged in the workspace already, each with what is wrong."""

    @property
    def sqlite(self) -> tuple[str, ...]:
        """Return the servers whose SQLite file is in it."""
        return tuple(
            name for name, path in OF_SERVERS.items() if f"{WORKSPACE}/{path}" in self.files
        )

    @property
    def n_bytes(self) -> int:
        """Return the size of all files."""
        return sum(entry.get("size", 0) for entry in self.files.values())


def back_up(at: Workspace, to: Path, databases: Mapping[str, Database], advance: Advance) -> Backup:
    """Copy a workspace and databases into a new folder.

    Raises
    ------
    WrongUseError
        If the folder is there already, or is in the workspace.
    BusyError
        If another process makes a backup of that name just now.
    WorkspaceError
        If the disk refuses.
    OperationsError
        If a database does.
    """
    if not at.root.is_dir():
        raise WrongUseError(f"{at.root}: there is no workspace to back up.")
    if to.exists():
        raise WrongUseError(
            f"{to}: is there already; name a new folder, such as one with the date."
        )
    if to.absolute().is_relative_to(at.root.absolute()):
        raise WrongUseError(f"{to}: is in the workspace itself; name a folder on another disk.")
    with storing(to.parent, "the backup"), fresh_folder(to) as fresh, shared(at):
        (fresh / DATABASES).mkdir()
        copier = _Copier(at, fresh, advance)
        copier.copy()
        for server, database in databases.items():
            dump(database, fresh / DATABASES / f"{server}.dump")
            copier.note(f"{DATABASES}/{server}.dump")
        made = _described(at, to, fresh, copier.files, tuple(databases))
        write_whole(fresh / MANIFEST, json.dumps(_to_json(made), indent=1, sort_keys=True))
        os.sync()
    return made


def _described(
    at: Workspace,
    to: Path,
    fresh: Path,
    files: dict[str, dict[str, Any]],
    databases: tuple[str, ...],
) -> Backup:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    harm = tuple(_harm(fresh, files))
    return Backup(to, now, str(at.root.absolute()), files, databases, harm)


def _harm(fresh: Path, files: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the artefacts whose copied files are not those of their manifest."""
    for name in files:
        folder, _, last = name.rpartition("/")
        _, _, kind = folder.rpartition("/")[0].rpartition("/")
        if last != ARTEFACT or kind not in set(Kind):
            continue
        try:
            listed = json.loads((fresh / name).read_text())["files"]
            wrong = [one for one, entry in listed.items() if not _same(files, folder, one, entry)]
        except (ValueError, LookupError, TypeError, AttributeError):
            wrong = [last]
        if wrong:
            yield f"{folder.removeprefix(f'{WORKSPACE}/')}: {wrong[0]} is missing or altered"


def _same(
    files: Mapping[str, Mapping[str, Any]], folder: str, name: str, entry: Mapping[str, Any]
) -> bool:
    copied = files.get(f"{folder}/{name}", {})
    return bool(copied.get("sha256") == entry["sha256"])


def _to_json(backup: Backup) -> dict[str, Any]:
    said = {
        "format_version": FORMAT_VERSION, "created": backup.created, "workspace": backup.workspace,
        "files": backup.files, "databases": list(backup.databases), "host": platform.node(),
        "signetflow": version("signetflow"),
    }  # fmt: skip
    return said | {"digest": digest_of(said)}


@dataclass(slots=True)
class _Copier:
    at: Workspace
    fresh: Path
    advance: Advance
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: dict[tuple[int, int], str] = field(default_factory=dict)
    """Where a file with several names was copied to."""

    def copy(self) -> None:
        """Copy the workspace, what refers to others first."""
        for name in SQLITE[:1]:
            self.database(name)
        first = self.at.root / Kind.LABELS / "tags"
        for path in [*self._below(first), self.at.root / Kind.CHECKPOINT / "standings.jsonl"]:
            self.one(path)
        rest = [path for path in self._below(self.at.root) if self._name(path) not in self.files]
        for done, path in enumerate(rest):
            self.advance(done, len(rest))
            self.one(path)
        for name in SQLITE[1:]:
            self.database(name)

    def database(self, name: str) -> None:
        """Copy a SQLite database, if it is there."""
        source = self.at.root / name
        if source.is_file():
            copy_sqlite(source, self.fresh / WORKSPACE / name)
            self.note(f"{WORKSPACE}/{name}")

    def one(self, source: Path) -> None:
        """Copy a file or link; one that is gone by now is no part of any artefact."""
        name = self._name(source)
        target = self.fresh / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            state = source.lstat()
            before = self.known.get((state.st_dev, state.st_ino))
            if before:
                target.hardlink_to(self.fresh / before)
                self.files[name] = self.files[before]
                return
            shutil.copy2(source, target, follow_symlinks=False)
        except FileNotFoundError:
            return
        if source.is_symlink():
            self.files[name] = {"link": str(target.readlink())}
            return
        if state.st_nlink > 1:
            self.known[state.st_dev, state.st_ino] = name
        self.note(name)

    def note(self, name: str) -> None:
        """Write down what is in a copied file."""
        path = self.fresh / name
        self.files[name] = {"size": path.stat().st_size, "sha256": hash_file(path)}

    def _name(self, path: Path) -> str:
        return f"{WORKSPACE}/{path.relative_to(self.at.root)}"

    def _below(self, folder: Path) -> Iterator[Path]:
        """Yield files and links that belong into a copy, at any depth."""
        try:
            inside = sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return  # nothing there, or not any more: the work of a stage that has ended meanwhile
        for path in inside:
            if self._is_left_out(path):
                continue
            if path.is_dir() and not path.is_symlink():
                yield from self._below(path)
            elif path.is_symlink() or path.is_file():
                yield path

    def _is_left_out(self, path: Path) -> bool:
        """Return whether a path is work under way, a lock, a log, or a database."""
        inner = path.relative_to(self.at.root)
        of_database = any(str(inner) in {name, *(name + end for end in BESIDE)} for name in SQLITE)
        if of_database or path.suffix == ".lock" or str(inner) in LEFT_OUT:
            return True
        top, *below = inner.parts
        in_artefact = top in set(Kind) and len(below) > 1 and below[0] != "tags"
        return (
            path.name.startswith(".") and (top in set(Kind) or top == "ledger") and not in_artefact
        )


def read_backup(path: Path) -> Backup:
    """Return what a copy says it holds.

    Raises
    ------
    IntegrityError
        If it is no whole copy, or one of a newer signetflow.
    """
    try:
        said = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        _require_format(path, said)
        files = {str(name): dict(entry) for name, entry in said["files"].items()}
        made = Backup(
            path, said["created"], said["workspace"], files, tuple(said["databases"])
        )  # fmt: skip
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{path}: no readable {MANIFEST}: no backup, or one that was not finished."
        ) from error
    digest = said.pop("digest", None)
    if digest not in (None, digest_of(said)):  # the first backups had none
        raise IntegrityError(f"{path / MANIFEST}: altered. Nothing was restored.")
    return made


def _require_format(path: Path, said: dict[str, Any]) -> None:
    found = said["format_version"]
    if found != FORMAT_VERSION:
        writer = said.get("signetflow", "that wrote it")
        raise IntegrityError(
            f"{path}: backup format {found}, this signetflow reads {FORMAT_VERSION}. Restore it "
            f"with the signetflow {writer}."
        )
