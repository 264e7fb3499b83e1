"""What a stage has finished of its artefact so far: a kill costs the part under way and seconds.

A part is a folder. Finished parts are sealed from time to time: flushed, hashed and listed. What is
not listed counts for nothing and is made again; what is listed is hashed once more before it is
taken over.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from storage.artefacts import canonical_json, files_of, hash_file, storing, sync, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEAL_EVERY_S = 15.0
"""Seconds of finished work that a kill may cost, beside the part under way."""
INDEX = "sealed.json"

logger = logging.getLogger(__name__)


class Parts:
    """Folders that are finished one after the other, by one process at a time.

    Parameters
    ----------
    folder : Path
        Where they lie; made if need be.
    seal_every_s : float
        How often what is finished is made to last.
    """

    def __init__(self, folder: Path, seal_every_s: float = SEAL_EVERY_S) -> None:
        self.folder = folder
        self._every_s = seal_every_s
        self._sealed_at = time.monotonic()
        self._sealed = self._read_index()
        self._finished: dict[str, dict[str, Any]] = {}
        """Facts of the parts that this process has finished or taken over."""

    def _read_index(self) -> dict[str, dict[str, Any]]:
        try:
            found: dict[str, dict[str, Any]] = json.loads((self.folder / INDEX).read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            logger.warning("%s is damaged (%s): its parts are made again.", self.folder, error)
            return {}
        return found

    def take_over(self, name: str) -> dict[str, Any] | None:
        """Return the facts of a part that an earlier process has sealed, or None."""
        known = self._sealed.get(name)
        if known is None:
            return None
        try:
            intact = _hashes(self.folder / name) == known["files"]
        except OSError:
            intact = False
        if not intact:
            logger.warning("%s was altered since it was sealed: made again.", self.folder / name)
            del self._sealed[name]
            return None
        self._finished[name] = known["facts"]
        return self._finished[name]

    @contextmanager
    def writing(self, name: str, facts: dict[str, Any]) -> Iterator[Path]:
        """Yield the empty folder of a part; the part is finished when the block ends well.

        Raises
        ------
        WorkspaceError
            If the disk is full or cannot be written.
        """
        path = self.folder / name
        with storing(self.folder, "unfinished work"):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            yield path
            self._finish(name, facts)

    def adopt(self, name: str, folder: Path, facts: dict[str, Any]) -> None:
        """Take a folder of the same filesystem as a finished part.

        For parts that are made side by side, or by others who may outlive this process: what they
        still write does not reach a part of that name.

        Raises
        ------
        WorkspaceError
            If the disk is full or cannot be written.
        """
        path = self.folder / name
        with storing(self.folder, "unfinished work"):
            shutil.rmtree(path, ignore_errors=True)
            folder.rename(path)
            self._finish(name, facts)

    def _finish(self, name: str, facts: dict[str, Any]) -> None:
        self._finished[name] = facts
        self._sealed.pop(name, None)  # it is another now
        if time.monotonic() - self._sealed_at >= self._every_s:
            self.seal()

    def seal(self) -> None:
        """Make everything that is finished last.

        Raises
        ------
        WorkspaceError
            If the disk is full or cannot be written.
        """
        with storing(self.folder, "unfinished work"):
            for name in self._finished.keys() - self._sealed.keys():
                folder = self.folder / name
                for path in [*files_of(folder), *_folders(folder)]:
                    sync(path)
                facts = {"facts": self._finished[name], "files": _hashes(folder)}
                self._sealed[name] = facts
            sync(self.folder)
            write_whole(self.folder / INDEX, canonical_json(self._sealed))
        self._sealed_at = time.monotonic()

    def drop(self) -> None:
        """Remove all parts: what was made of them lasts."""
        (self.folder / INDEX).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._sealed, self._finished = {}, {}

    def link_into(self, target: Path) -> None:
        """Let every finished part appear in another folder, as hard links: nothing is copied."""
        for name in sorted(self._finished):
            self.link(name, target / name)

    def link(self, name: str, target: Path) -> None:
        """Let a folder of a finished part appear elsewhere, as hard links.

        Parameters
        ----------
        name : str
            Of the part, or of a folder in it: ``part/folder``.
        target : Path
            Where it appears; its folders are made if need be.
        """
        source = self.folder / name
        for folder in _folders(source):
            (target / folder.relative_to(source)).mkdir(parents=True, exist_ok=True)
        for path in files_of(source):
            os.link(path, target / path.relative_to(source))


def _folders(folder: Path) -> list[Path]:
    return [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]


def _hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hash_file(path) for path in files_of(folder)}
