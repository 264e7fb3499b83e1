"""The files of a dataset's folder: in one order on every disk, and none from outside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import InputError
from storage.datasets.naming import unusable
from storage.datasets.protocol import RefusedItem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a folder and its subfolders that have certain suffixes."""

    folder: Path
    files: tuple[str, ...]
    """Relative to the folder with ``/`` between parts, in the order of their characters."""
    refused: tuple[RefusedItem, ...]
    """Files and folders that lead out of the folder, cannot be read or cannot be named."""


def listing(folder: Path, suffixes: Collection[str]) -> Listing:
    """Return the files below a folder; hidden ones are left alone.

    Links to files within the folder are followed. A link to a folder is not, and neither is what
    leads out: a dataset must not make us read other files.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        what = "is a file" if folder.is_file() else "there is no such folder"
        raise InputError(f"{folder}: {what}. Give the folder that holds the dataset.")
    inside = folder.resolve()
    files, refused = [], []
    for entry in _walk(folder, suffixes):
        name = entry if isinstance(entry, str) else entry.name
        reason = unusable(name) if isinstance(entry, str) else entry.reason
        if not reason and isinstance(entry, str) and (folder / entry).is_symlink():
            reason = _astray(folder / entry, inside)
        if reason:
            refused.append(RefusedItem(name, reason))
        else:
            files.append(name)
    return Listing(folder, tuple(sorted(files)), tuple(sorted(refused, key=lambda one: one.name)))


def _walk(folder: Path, suffixes: Collection[str]) -> Iterator[str | RefusedItem]:
    """Yield the files that have one of the suffixes, and folders that are not entered."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            yield RefusedItem(_relative(here, folder), f"cannot be read ({error.strerror}).")
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
                continue
            reason = _no_file(entry)
            if reason and (path.is_dir() or path.suffix.lower() in suffixes):
                yield RefusedItem(_relative(path, folder), reason)
            elif path.suffix.lower() in suffixes:
                yield _relative(path, folder)


def _no_file(entry: os.DirEntry[str]) -> str:
    """Return why an entry that is no folder cannot be read, or nothing."""
    if entry.is_symlink():
        if Path(entry.path).is_dir():
            return "a link to a folder, which is not followed. Put the files here themselves."
        return ""
    # Reading from a pipe or a device could take for ever.
    return "" if entry.is_file() else "no file but a pipe or device. Leave it out."


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _astray(link: Path, inside: Path) -> str:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        return f"a link that leads nowhere ({error})."
    if not target.is_relative_to(inside):
        return (
            "a link that leads out of the dataset's folder and is not followed. Put the file here."
        )
    return "" if target.is_file() else "a link to what is no file."
