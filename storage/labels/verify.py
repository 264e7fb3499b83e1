"""Whether label versions are what they say: every file, every pixel, every promise.

More than reading does: a reader trusts a file of the right size and time, and sees one version.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from models.errors import IntegrityError, WorkspaceError
from storage.arrays import folder_name
from storage.artefacts import MANIFEST, distrust_file, files_of, manifest_of
from storage.block_work import hired
from storage.labels.findings import AGAIN, IMPORT_AGAIN, REPORT, Checked, Finding
from storage.labels.identity import version_digest
from storage.labels.schema import (
    PERSON_STAGES,
    REGIONS,
    VERSION,
    RegionEntry,
    cells_by_origin,
    human_total,
    read_info,
)
from storage.labels.soundness import Hashed, Question, hashed, look
from storage.labels.store import LabelVersion
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from models.runtime_settings import DaskSettings
    from storage.block_work import Workers
    from storage.labels.region import StoredRegion
    from storage.labels.schema import VersionInfo
    from storage.labels.soundness import Answer

_Inode: TypeAlias = "tuple[int, int]"
"""Device and inode of a file."""
_Key: TypeAlias = "tuple[_Inode, ...]"


def version_refs(at: Workspace) -> list[Ref]:
    """Return every version of a workspace, those that cannot be read too."""
    folders = (at.root / Kind.LABELS).glob("[0-9a-f]*")
    return [Ref(Kind.LABELS, path.name) for path in sorted(folders) if path.is_dir()]


def verify(
    at: Workspace,
    refs: Sequence[Ref],
    progress: Callable[[int, int], None] | None = None,
    dask: DaskSettings | None = None,
) -> Checked:
    """Check label versions thoroughly.

    Every file is hashed, every array decoded, every digest computed anew; classes, cells and
    records must agree, a person's cells be those that were read in, and all ancestors be there.
    A file that several versions share is read once. A file that is damaged is touched, so that the
    next run looks at it closely and makes it anew.

    Parameters
    ----------
    at : Workspace
    refs : sequence of Ref
    progress : callable, optional
        Called with how many regions are done and how many there are.
    dask : DaskSettings, optional
        The cluster that looks at the regions; without it threads do. The result is the same.

    Raises
    ------
    OperationsError
        If the cluster cannot be used, or is lost.
    """
    with hired(dask) as workers:
        return _Verification(at, workers, progress).run(refs)


@dataclass(slots=True)
class _Look:
    """One version while it is looked at."""

    version: LabelVersion
    inodes: dict[str, _Inode] = field(default_factory=dict)
    """Of each file that is there, by its name in the folder."""
    names: dict[str, list[str]] = field(default_factory=dict)
    """Names of the files of each region's folder; those of no region are under an empty name."""
    files: dict[str, Hashed] = field(default_factory=dict)
    keys: dict[str, _Key | None] = field(default_factory=dict)
    """What makes up each region on the disk."""
    answers: dict[str, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Find the files."""
        folders = {folder_name(region_id) for region_id in self.version.entries}
        for name in self.version.hashes:
            folder = name.partition("/")[0]
            self.names.setdefault(folder if folder in folders else "", []).append(name)
            inode = _inode(self.version.folder / name)
            if inode:
                self.inodes[name] = inode

    def files_of(self, region_id: str) -> list[str]:
        """Return the names of the files of a region."""
        return self.names.get(folder_name(region_id), [])

    def is_damaged(self, name: str) -> bool:
        """Return whether a file was hashed and is not as it was written."""
        return name in self.files and self.files[name].sha256 != self.version.hashes[name]


class _Verification:
    def __init__(
        self, at: Workspace, workers: Workers, progress: Callable[[int, int], None] | None
    ) -> None:
        self.at, self.workers, self.progress, self.checked = at, workers, progress, Checked()
        self.hashes: dict[_Inode, Hashed] = {}
        self.sound: set[_Key] = set()
        """Regions that were decoded and agree."""
        self.versions: dict[str, LabelVersion | None] = {}
        self.asked: set[str] = set()
        self.done = self.total = 0

    def run(self, refs: Sequence[Ref]) -> Checked:
        """Check all versions."""
        self.asked = {ref.digest for ref in refs}
        self.total = sum(len(self._entries(ref)) for ref in refs)
        for ref in refs:
            self.checked.n_versions += 1
            self._version(ref)
        self._tell()
        return self.checked

    def _tell(self) -> None:
        if self.progress:
            self.progress(self.done, self.total)

    def _entries(self, ref: Ref) -> dict[str, Any]:
        version = self._opened(ref)
        return version.entries if version else {}

    def _opened(self, ref: Ref) -> LabelVersion | None:
        """Return a version whose descriptions can be read, whatever state its files are in."""
        if ref.digest not in self.versions:
            try:
                self.versions[ref.digest] = _described(self.at, ref)
            except (IntegrityError, WorkspaceError, OSError, ValueError, KeyError, TypeError):
                self.versions[ref.digest] = None
        return self.versions[ref.digest]

    def _found(self, ref: Ref, place: str, what: str, remedy: str) -> None:
        self.checked.findings.append(Finding(ref.digest, place, what, remedy))

    def _version(self, ref: Ref) -> None:
        version = self._opened(ref)
        if version is None:
            what = f"{MANIFEST}, {VERSION} or {REGIONS} is missing or cannot be read"
            self._found(ref, str(self.at.path(ref)), what, AGAIN)
            return
        seen = _Look(version)
        for name in seen.names.get("", []):
            self._take(seen, name, hashed(version.folder / name))
        for question, answer in self.workers.each(look, self._questions(seen)):
            for name, found in answer.files.items():
                self._take(seen, name, found)
            region_id = question.region.region_id
            seen.answers[region_id] = answer
            self.checked.n_regions += answer.is_decoded
            if answer.is_sound and (key := seen.keys[region_id]):
                self.sound.add(key)
        self._tell_of(ref, seen)

    def _take(self, seen: _Look, name: str, found: Hashed) -> None:
        """Remember what a file was found to hold."""
        seen.files[name] = found
        inode = seen.inodes.get(name)
        if inode and not found.problem:
            self.hashes[inode] = found
            self.checked.n_files += 1
            self.checked.n_bytes += (seen.version.folder / name).stat().st_size

    def _questions(self, seen: _Look) -> Iterator[Question]:
        """Yield what is not known yet of the regions of a version."""
        version, info = seen.version, seen.version.info
        source = self._source(info)
        parents = self._entries(Ref(Kind.LABELS, info.parent)) if info.parent else {}
        for region_id in version.region_ids:
            self._tell()
            self.done += 1
            unknown = self._unknown(seen, region_id)
            drawn = source.region(region_id) if source and region_id in source.entries else None
            decode = self._is_to_decode(seen, region_id, drawn)
            if unknown or decode:
                yield Question(
                    version.region(region_id), unknown, decode, parents.get(region_id), drawn,
                    info.human_source in self.asked,
                )  # fmt: skip

    def _unknown(self, seen: _Look, region_id: str) -> dict[str, str]:
        """Return the files of a region that nobody hashed yet; take over what is known."""
        unknown = {}
        for name in seen.files_of(region_id):
            inode = seen.inodes.get(name)
            if inode in self.hashes:
                seen.files[name] = self.hashes[inode]
            else:
                unknown[name] = seen.version.hashes[name]
        return unknown

    def _is_to_decode(self, seen: _Look, region_id: str, drawn: StoredRegion | None) -> bool:
        """Return whether a region is to be decoded, unless a file of it turns out damaged."""
        if any(seen.is_damaged(name) for name in seen.files_of(region_id)):
            return False
        key = seen.keys[region_id] = self._key(seen, region_id, drawn)
        return key is None or key not in self.sound

    def _key(self, seen: _Look, region_id: str, drawn: StoredRegion | None) -> _Key | None:
        """Return the files that a region and what a person drew there are made of."""
        inodes = [seen.inodes.get(name) for name in sorted(seen.files_of(region_id))]
        if drawn is not None:
            inodes += [_inode(path) for path in files_of(drawn.folder)]
        known = [one for one in inodes if one]
        return tuple(known) if len(known) == len(inodes) else None

    def _tell_of(self, ref: Ref, seen: _Look) -> None:
        """Write down what is wrong with a version: files first, then what it says of itself."""
        version = seen.version
        remedy = IMPORT_AGAIN if version.info.stage == "import" else AGAIN
        self._tell_of_files(ref, seen, remedy)
        if not any(seen.is_damaged(name) for name in (VERSION, REGIONS)):
            self._identity(ref, version)
            self._ancestry(ref, version)
        for region_id, answer in seen.answers.items():
            if answer.damage:
                self._found(ref, region_id, answer.damage, AGAIN)
            elif answer.breach:
                self._found(ref, region_id, answer.breach, REPORT)

    def _tell_of_files(self, ref: Ref, seen: _Look, remedy: str) -> None:
        folder = seen.version.folder
        for name in seen.version.hashes:
            path = folder / name
            if problem := seen.files[name].problem:
                self._found(ref, str(path), f"cannot be read ({problem})", remedy)
            elif seen.is_damaged(name):
                distrust_file(path)
                self._found(ref, str(path), "altered on disk since it was written", remedy)
        known = {*seen.version.hashes, MANIFEST}
        for path in files_of(folder):
            if str(path.relative_to(folder)) not in known:
                self._found(ref, str(path), "does not belong to the version", "remove the file")

    def _identity(self, ref: Ref, version: LabelVersion) -> None:
        info = version.info
        named = version_digest(info.to_json(), version.entries)
        if not named == info.digest == ref.digest:
            what = "its name is not the digest of what it holds, of its parent and its parameters"
            self._found(ref, "", what, REPORT)
        totals = cells_by_origin(version.entries), human_total(version.entries)
        said = dict(info.n_cells), (info.human_count, info.human_digest)
        if totals != said or info.n_regions != len(version.entries):
            self._found(ref, VERSION, "its counts are not those of its regions", REPORT)

    def _ancestry(self, ref: Ref, version: LabelVersion) -> None:
        info = version.info
        for digest, what in (
            (info.parent, "its parent"),
            (info.human_source, "the version in which its drawn cells were read in"),
        ):
            if digest and self._opened(Ref(Kind.LABELS, digest)) is None:
                path = self.at.path(Ref(Kind.LABELS, digest))
                self._found(ref, str(path), f"{what} is missing or cannot be read", AGAIN)
        source = self._source(info)
        if source is None:
            return
        drawn = source.info.human_count, source.info.human_digest
        if (info.human_count, info.human_digest) != drawn:
            what = f"holds {info.human_count} cells of a person, {drawn[0]} were read in"
            more = "" if info.human_count != drawn[0] else ", and they are not the same"
            self._found(ref, "", what + more, REPORT)

    def _source(self, info: VersionInfo) -> LabelVersion | None:
        """Return the version that a person's cells must be kept from; None if they may change."""
        if info.stage in PERSON_STAGES:
            return None
        return self._opened(Ref(Kind.LABELS, info.human_source))


def _inode(path: Path) -> _Inode | None:
    """Return what a file is known by, whatever it is called; None if it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _described(at: Workspace, ref: Ref) -> LabelVersion:
    """Return a version by its descriptions alone; nothing is checked against the manifest."""
    folder = at.path(ref)
    hashes = {name: entry["sha256"] for name, entry in manifest_of(at, ref)["files"].items()}
    entries = json.loads((folder / REGIONS).read_text())
    regions = {name: RegionEntry.from_json(entry) for name, entry in entries.items()}
    return LabelVersion(read_info(folder), folder, regions, hashes)
