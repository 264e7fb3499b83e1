"""Artefacts appear whole or not at all, and are known by the digest of their content.

An artefact is a folder. It is written into a temporary folder beside its final place, every file is
hashed into ``MANIFEST.json``, everything is flushed to disk, and one rename makes it visible.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import IntegrityError, WorkspaceError
from storage.formats import CURRENT
from storage.layout import Kind, Ref, Workspace
from storage.locks import shared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANIFEST = "MANIFEST.json"
_ENTRY = {"size": None, "mtime_ns": None, "sha256": None}
"""What a manifest says of a file; with these values, of one that it does not list."""
DIGEST_LENGTH = 32
"""Hex digits of a digest in names: MLflow accepts at most 36 for a dataset."""
FILE_THREADS = 8
"""Threads that read files to hash them, and that wait until they are on the disk."""
_STORAGE_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
}  # fmt: skip


def canonical_json(value: Any) -> str:  # noqa: ANN401  # anything JSON can hold
    """Return JSON that is equal for equal values; unknown types, NaN and sets are errors."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def digest_of(value: Any) -> str:  # noqa: ANN401  # anything JSON can hold
    """Return the digest of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:DIGEST_LENGTH]


def hash_file(path: Path) -> str:
    """Return the sha256 of a file, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(slots=True)
class Draft:
    """A folder that is being written and that nobody else sees yet."""

    path: Path
    ref: Ref | None = None
    """Set by `commit`."""


def files_of(folder: Path) -> list[Path]:
    """Return every file in a folder, at any depth, sorted; the manifest is not one of them."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that whoever reads sees the old or the new text, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def storing(place: Path, what: str) -> Iterator[None]:
    """Say of a disk that is full or refuses what that means, whatever met it.

    Raises
    ------
    WorkspaceError
        In place of an OSError that a person has to mend.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, WorkspaceError) or error.errno not in _STORAGE_ERRORS:
            raise
        raise WorkspaceError(
            f"{place}: writing {what} failed ({error.strerror}). Nothing half-written is "
            f"visible; make room or mend the permissions and run the same command again."
        ) from error


def _listed(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": hash_file(path)}


def _write_manifest(folder: Path, kind: Kind, digest: str | None) -> str:
    files = files_of(folder)
    with ThreadPoolExecutor(FILE_THREADS) as pool:
        entries = pool.map(_listed, files)
        listed = {
            str(path.relative_to(folder)): entry for path, entry in zip(files, entries, strict=True)
        }
    content = digest or digest_of({name: entry["sha256"] for name, entry in listed.items()})
    manifest = {"format_version": CURRENT[kind], "digest": content, "files": listed}
    (folder / MANIFEST).write_text(json.dumps(manifest, sort_keys=True, indent=1))
    return content


@contextmanager
def draft(at: Workspace, kind: Kind) -> Iterator[Draft]:
    """Yield a folder to write an artefact into; it is gone afterwards unless committed.

    Meanwhile nobody has the workspace alone: `gc` would take the folder for a killed run's.

    Raises
    ------
    WorkspaceError
        If the disk is full or the workspace cannot be written.
    """
    folder = at.root / kind / f".draft-{uuid.uuid4().hex}"
    try:
        with shared(at), storing(at.root, kind):
            folder.mkdir(parents=True)
            yield Draft(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def seal(folder: Path, kind: Kind, digest: str | None = None) -> str:
    """Write a folder's manifest, wait until all of it is on the disk, and return its digest."""
    content = _write_manifest(folder, kind, digest)
    below = [path for path in folder.rglob("*") if path.is_dir()]
    # The disk writes for all who wait at once: a version of 500 regions has 6,000 to wait for.
    with ThreadPoolExecutor(FILE_THREADS) as pool:
        for paths in ([*files_of(folder), folder / MANIFEST], below):
            list(pool.map(sync, paths))
    sync(folder)
    return content


def commit(at: Workspace, kind: Kind, work: Draft, digest: str | None = None) -> Ref:
    """Make a draft visible under its digest; the same content twice is one artefact.

    Parameters
    ----------
    at, kind, work
        The workspace, the kind of artefact and its written draft.
    digest
        The identity, where it is not that of the files (label versions hash decoded content).
    """
    ref = Ref(kind, seal(work.path, kind, digest))
    target = at.path(ref)
    try:
        work.path.rename(target)
    except OSError as error:
        # Only "already there" may be ignored: the same content was committed before.
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
            raise
        if problems(at, ref, thorough=True):
            shutil.rmtree(target)
            work.path.rename(target)
    sync(target.parent)
    work.ref = ref
    return ref


def manifest_of(at: Workspace, ref: Ref) -> dict[str, Any]:
    """Return an artefact's manifest.

    Raises
    ------
    IntegrityError
        If the artefact is missing or its manifest is unreadable.
    WorkspaceError
        If it was written in another format.
    """
    manifest = _manifest(at, ref)
    version, current = manifest["format_version"], CURRENT[ref.kind]
    if version < current:
        raise WorkspaceError(
            f"{ref}: written in format {version}, this signetflow reads {current}. Bring the "
            f"workspace there once, while nothing runs: signetflow migrate --workspace {at.root}"
        )
    return manifest


def format_of(at: Workspace, ref: Ref) -> int:
    """Return the format that an artefact was written in.

    Raises
    ------
    IntegrityError
        If its manifest is missing or unreadable.
    WorkspaceError
        If it is a format that only a newer signetflow knows.
    """
    version: int = _manifest(at, ref)["format_version"]
    return version


def _manifest(at: Workspace, ref: Ref) -> dict[str, Any]:
    path = at.path(ref) / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        version = manifest["format_version"]
        well_formed = isinstance(version, int) and all(
            _ENTRY.keys() <= entry.keys() for entry in manifest["files"].values()
        )
        if not well_formed:
            raise ValueError("its entries are not those of a manifest")  # noqa: TRY301
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(
            f"{ref}: no readable {MANIFEST} in {at.path(ref)}. The artefact was deleted or "
            f"damaged; run the same command again to make it anew."
        ) from error
    if version > CURRENT[ref.kind]:
        raise WorkspaceError(
            f"{ref}: written in format {version}, this signetflow reads up to {CURRENT[ref.kind]}. "
            f"Use the newer signetflow that wrote it."
        )
    return manifest


def problems(
    at: Workspace, ref: Ref, *, thorough: bool = False, only: str | None = None
) -> list[str]:
    """Return what is wrong with an artefact, as sentences; empty when it can be trusted.

    Size and time are compared first; a file is hashed where they differ, or always if `thorough`.
    `only` names the one file to look at.
    """
    try:
        files = manifest_of(at, ref)["files"]
    except IntegrityError as error:
        return [str(error)]
    if only is not None:
        files = {only: files.get(only, _ENTRY)}
    folder = at.path(ref)
    found = [_problem(folder / name, entry, thorough) for name, entry in files.items()]
    return [sentence for sentence in found if sentence]


def distrust(at: Workspace, ref: Ref) -> None:
    """Make every later check of an artefact hash its files: their times are no proof any more."""
    for path in files_of(at.path(ref)):
        distrust_file(path)


def distrust_file(path: Path) -> None:
    """Make the next check of a file's artefact hash it.

    A file of the right size and time is taken to be as it was written; one that was touched is not.
    A file that several artefacts share is distrusted in all of them.
    """
    with suppress(OSError):
        os.utime(path)


def _problem(path: Path, entry: dict[str, Any], thorough: bool) -> str:
    try:
        stat = path.stat()
    except OSError:
        return f"{path}: missing"
    if stat.st_size != entry["size"]:
        return f"{path}: {stat.st_size} bytes, expected {entry['size']}"
    untouched = stat.st_mtime_ns == entry["mtime_ns"]
    if (thorough or not untouched) and hash_file(path) != entry["sha256"]:
        return f"{path}: its content differs from the manifest's sha256"
    return ""


def opened(at: Workspace, ref: Ref, *, only: str | None = None) -> Path:
    """Return the folder of an artefact after checking it, or the one file that will be read.

    Raises
    ------
    IntegrityError
        If it is missing or altered.
    """
    found = problems(at, ref, only=only)
    if found:
        raise IntegrityError(
            f"{ref}: {found[0]}. Run the same command again: what is damaged is made anew."
        )
    return at.path(ref)
