"""Whether label versions are what they say: every file, every pixel, every promise.

More than reading does: a reader trusts a file of the right size and time, and sees one version.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import IntegrityError, LabelContractError, WorkspaceError
from storage.arrays import folder_name
from storage.artefacts import MANIFEST, distrust_file, files_of, hash_file, manifest_of
from storage.labels.contract import (
    RegionLabels,
    require_agreement,
    require_continuation,
    require_human_pixels,
    require_human_records,
)
from storage.labels.identity import region_entry, version_digest
from storage.labels.schema import (
    PERSON_STAGES,
    REGIONS,
    VERSION,
    RegionEntry,
    cells_by_origin,
    human_total,
    read_info,
)
from storage.labels.store import LabelVersion
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from storage.labels.schema import VersionInfo

AGAIN = "run the command that made it again: what is damaged is made anew"
IMPORT_AGAIN = "import the same reviewed file again: only a person's corrections make this version"
REPORT = "it was not written by this signetflow, or was tampered with; do not train on it"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a label version."""

    version: str
    """Digest."""
    place: str
    """File, or region, or empty for the version as a whole."""
    what: str
    remedy: str

    def to_json(self) -> dict[str, str]:
        """Return everything as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        return f"{self.version[:8]}: {place}{self.what}; {self.remedy}."


@dataclass(slots=True)
class Checked:
    """What was looked at, and what was found."""

    findings: list[Finding] = field(default_factory=list)
    n_versions: int = 0
    n_regions: int = 0
    """Regions whose pixels were decoded; one that several versions share counts once."""
    n_files: int = 0
    n_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "ok": not self.findings,
            "versions": self.n_versions,
            "regions_decoded": self.n_regions,
            "files_hashed": self.n_files,
            "bytes_hashed": self.n_bytes,
            "findings": [one.to_json() for one in self.findings],
        }


def version_refs(at: Workspace) -> list[Ref]:
    """Return every version of a workspace, those that cannot be read too."""
    folders = (at.root / Kind.LABELS).glob("[0-9a-f]*")
    return [Ref(Kind.LABELS, path.name) for path in sorted(folders) if path.is_dir()]


def verify(
    at: Workspace, refs: Sequence[Ref], progress: Callable[[int, int], None] | None = None
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
    """
    return _Verification(at, progress).run(refs)


class _Verification:
    def __init__(self, at: Workspace, progress: Callable[[int, int], None] | None) -> None:
        self.at, self.progress, self.checked = at, progress, Checked()
        self.hashes: dict[tuple[int, int], str] = {}
        """Sha256 by device and inode."""
        self.sound: set[tuple[tuple[int, int], ...]] = set()
        """Regions that were decoded and agree, by the inodes of their files."""
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
        remedy = IMPORT_AGAIN if version.info.stage == "import" else AGAIN
        damaged = set(self._damaged_files(ref, version, remedy))
        if not damaged & {VERSION, REGIONS}:
            self._identity(ref, version)
            self._ancestry(ref, version)
        for region_id in version.region_ids:
            self._tell()
            self.done += 1
            folder = folder_name(region_id)
            if not any(name.startswith(f"{folder}/") for name in damaged):
                self._region(ref, version, region_id)

    def _damaged_files(self, ref: Ref, version: LabelVersion, remedy: str) -> Iterator[str]:
        for name, sha256 in version.hashes.items():
            path = version.folder / name
            try:
                actual = self._hash(path)
            except OSError as error:
                self._found(ref, str(path), f"cannot be read ({error.strerror})", remedy)
                yield name
                continue
            if actual != sha256:
                distrust_file(path)
                self._found(ref, str(path), "altered on disk since it was written", remedy)
                yield name
        known = {*version.hashes, MANIFEST}
        for path in files_of(version.folder):
            if str(path.relative_to(version.folder)) not in known:
                self._found(ref, str(path), "does not belong to the version", "remove the file")

    def _hash(self, path: Path) -> str:
        stat = path.stat()
        key = stat.st_dev, stat.st_ino
        if key not in self.hashes:
            self.hashes[key] = hash_file(path)
            self.checked.n_files += 1
            self.checked.n_bytes += stat.st_size
        return self.hashes[key]

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

    def _region(self, ref: Ref, version: LabelVersion, region_id: str) -> None:
        inodes = self._inodes(version, region_id)
        source = self._source(version.info)
        if source is not None and region_id in source.entries:
            inodes += self._inodes(source, region_id)
        if inodes in self.sound:
            return
        try:
            self._sound_region(version, source, region_id)
        except IntegrityError as error:
            self._found(ref, region_id, str(error).split(". ")[0], AGAIN)
        except LabelContractError as error:
            self._found(ref, region_id, str(error).rstrip("."), REPORT)
        except (OSError, ValueError, KeyError) as error:
            self._found(ref, region_id, f"cannot be decoded ({error})", REPORT)
        else:
            self.sound.add(inodes)

    def _inodes(self, version: LabelVersion, region_id: str) -> tuple[tuple[int, int], ...]:
        folder = f"{folder_name(region_id)}/"
        names = sorted(name for name in version.hashes if name.startswith(folder))
        stats = [(version.folder / name).stat() for name in names]
        return tuple((one.st_dev, one.st_ino) for one in stats)

    def _sound_region(
        self, version: LabelVersion, source: LabelVersion | None, region_id: str
    ) -> None:
        entry = version.entries[region_id]
        labels = read_labels(version, region_id)
        self.checked.n_regions += 1
        require_agreement(region_id, labels)
        if region_entry(labels) != entry:
            raise LabelContractError(f"what it holds is not what {REGIONS} says of it")
        grown_from = version.info.parent
        parent = self._opened(Ref(Kind.LABELS, grown_from)) if grown_from else None
        if parent is not None and region_id in parent.entries:
            require_continuation(region_id, labels, parent.entries[region_id])
        if source is not None and region_id in source.entries:
            self._as_drawn(source, region_id, labels)

    def _as_drawn(self, source: LabelVersion, region_id: str, labels: RegionLabels) -> None:
        try:
            drawn = read_labels(source, region_id)
        except IntegrityError:
            if source.info.digest in self.asked:
                return  # told once, of the version whose file it is
            raise
        require_human_records(region_id, labels.records, drawn.records)
        require_human_pixels(region_id, labels, (drawn.classes, drawn.cells))


def read_labels(version: LabelVersion, region_id: str) -> RegionLabels:
    """Return all that a version holds of a region, decoded."""
    return RegionLabels(
        version.placement(region_id),
        np.asarray(version.classes(region_id)[:]),
        np.asarray(version.cells(region_id)[:]),
        version.records(region_id),
        version.next_cell_id(region_id),
    )


def _described(at: Workspace, ref: Ref) -> LabelVersion:
    """Return a version by its descriptions alone; nothing is checked against the manifest."""
    folder = at.path(ref)
    hashes = {name: entry["sha256"] for name, entry in manifest_of(at, ref)["files"].items()}
    entries = json.loads((folder / REGIONS).read_text())
    regions = {name: RegionEntry.from_json(entry) for name, entry in entries.items()}
    return LabelVersion(read_info(folder), folder, regions, hashes)
