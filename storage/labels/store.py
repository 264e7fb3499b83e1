"""Label versions on disk: written once, never changed, each the child of the one it grew from."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from models.errors import LabelContractError, NotFoundError
from storage.arrays import folder_name
from storage.artefacts import canonical_json, commit, draft, manifest_of, opened
from storage.labels.contract import RegionLabels, require_all_regions
from storage.labels.identity import version_digest
from storage.labels.region import StoredRegion, unaltered
from storage.labels.schema import (
    PERSON_STAGES,
    RECORDS,
    REGIONS,
    VERSION,
    RegionEntry,
    VersionInfo,
    cells_by_origin,
    human_total,
    read_info,
)
from storage.labels.writing import Site
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    import zarr
    from numpy.typing import NDArray

    from models.annotations import CellRecords, Ragged
    from models.geometry.tiles import Placement
    from storage.labels.writing import Written


@dataclass(frozen=True, slots=True)
class LabelVersion:
    """One label version, read one region at a time."""

    info: VersionInfo
    folder: Path
    entries: dict[str, RegionEntry]
    hashes: Mapping[str, str]
    """Sha256 of each file by its path in the folder, as it was written."""

    @property
    def region_ids(self) -> tuple[str, ...]:
        """Return the regions, sorted."""
        return tuple(self.entries)

    def region(self, region_id: str) -> StoredRegion:
        """Return one region, to be read by whoever is handed it.

        Raises
        ------
        NotFoundError
            If the version does not have it.
        """
        entry, name = self._entry(region_id), folder_name(region_id)
        sha256 = self.hashes.get(f"{name}/{RECORDS}", "")
        return StoredRegion(region_id, (self.folder / name).absolute(), entry, sha256)

    def classes(self, region_id: str) -> zarr.Array[Any]:
        """Return the (h, w) uint8 array of `PixelClass`."""
        return self.region(region_id).classes()

    def cells(self, region_id: str) -> zarr.Array[Any]:
        """Return the (h, w) uint32 array of cell ids."""
        return self.region(region_id).cells()

    def records(self, region_id: str) -> CellRecords:
        """Return where each cell comes from, boxes and outlines in level-0 pixels.

        Raises
        ------
        IntegrityError
            If the table was altered on disk.
        """
        return self.region(region_id).records()

    def parents(self, region_id: str) -> tuple[NDArray[np.uint32], Ragged]:
        """Return the cell ids of a region and the parents of each; quicker than all records."""
        return self.region(region_id).parents()

    def kin(self, region_id: str, cells: NDArray[np.uint32]) -> CellRecords:
        """Return the records of some cells and of all that share a parent, without outlines."""
        return self.region(region_id).kin(cells)

    def placement(self, region_id: str) -> Placement:
        """Return where the arrays lie on their slide."""
        return self._entry(region_id).placement

    def next_cell_id(self, region_id: str) -> int:
        """Return the first id that no cell of the region ever had."""
        return self._entry(region_id).next_cell_id

    def _entry(self, region_id: str) -> RegionEntry:
        if region_id not in self.entries:
            raise NotFoundError(
                f"label version {self.info.digest[:8]} has no region {region_id}; "
                f"'signetflow labels show {self.info.digest[:8]}' lists its {len(self.entries)}."
            )
        return self.entries[region_id]


def open_version(at: Workspace, ref: Ref) -> LabelVersion:
    """Return a label version.

    Raises
    ------
    IntegrityError
        If it is missing or altered.
    """
    folder = opened(at, ref)
    files = manifest_of(at, ref)["files"]
    hashes = {name: entry["sha256"] for name, entry in files.items()}
    unaltered(folder / VERSION, hashes[VERSION])
    entries = json.loads(unaltered(folder / REGIONS, hashes[REGIONS]))
    regions = {name: RegionEntry.from_json(entry) for name, entry in entries.items()}
    return LabelVersion(read_info(folder), folder, regions, hashes)


class LabelDraft:
    """A label version that is being written, by one process or by workers that it asks.

    Use as a context manager: without `commit`, nothing of it remains. A region is written by `put`,
    or by a worker that is sent its `site`; what that returns is for `take`.

    Parameters
    ----------
    at : Workspace
    parent : Ref or None
        The version it grows from.
    chain : str
        One chain per run, fold, arm and model.
    round : int
    stage : str
        ingest, import, self, self_extra, cooperative. Only ingest and import may change the
        cells of a person.
    parameters : dict
        How it is made, as JSON: part of its identity.
    """

    def __init__(
        self, at: Workspace, *, parent: Ref | None, chain: str, round: int, stage: str,  # noqa: A002
        parameters: dict[str, Any],
    ) -> None:  # fmt: skip
        self._at = at
        self._facts: dict[str, Any] = {
            "parent": parent.digest if parent else None,
            "chain": chain,
            "round": round,
            "stage": stage,
            "parameters": parameters,
        }
        self._parent = open_version(at, parent) if parent else None
        self._drawn = self._person_version()
        self._entries: dict[str, RegionEntry] = {}
        self._open = ExitStack()

    def _person_version(self) -> LabelVersion | None:
        """Return the version that a person's cells must be kept from; None if they may change."""
        if self._parent is None or self._facts["stage"] in PERSON_STAGES:
            return None
        return open_version(self._at, Ref(Kind.LABELS, self._parent.info.human_source))

    def __enter__(self) -> Self:
        self._work = self._open.enter_context(draft(self._at, Kind.LABELS))
        # A folder of its own: whoever writes on after the commit does not write into the version.
        self._workshop = self._open.enter_context(draft(self._at, Kind.LABELS)).path.absolute()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def put(
        self, region_id: str, placement: Placement, classes: NDArray[np.uint8],
        cells: NDArray[np.uint32], records: CellRecords, next_cell_id: int,
    ) -> None:  # fmt: skip
        """Write the labels of one region.

        Raises
        ------
        LabelContractError
            If classes, cells and records are at odds, or a person's cell was changed.
        """
        labels = RegionLabels(placement, classes, cells, records, next_cell_id)
        self.take(self.site(region_id).write(labels))

    def site(self, region_id: str) -> Site:
        """Return where somebody may write a region of the version."""
        self._require_new(region_id)
        parent, drawn = (
            version.region(region_id) if version and region_id in version.entries else None
            for version in (self._parent, self._drawn)
        )
        keeps_drawn = self._drawn is not None
        return Site(region_id, self._workshop, parent, drawn, keeps_drawn=keeps_drawn)

    def take(self, written: Written) -> None:
        """Take over what somebody wrote at its site."""
        self._require_new(written.region_id)
        written.folder.rename(self._work.path / folder_name(written.region_id))
        self._entries[written.region_id] = written.entry

    def keep(self, region_id: str) -> None:
        """Take one region over from the parent, as hard links: nothing is copied.

        Raises
        ------
        NotFoundError
            If the parent does not have it.
        """
        if self._parent is None or region_id not in self._parent.entries:
            raise NotFoundError(f"region {region_id} cannot be kept: the parent does not have it.")
        source = self._parent.folder / folder_name(region_id)
        self._require_new(region_id)
        target = self._work.path / folder_name(region_id)
        target.mkdir()
        for path in sorted(source.rglob("*")):
            linked = target / path.relative_to(source)
            if path.is_dir():
                linked.mkdir(parents=True, exist_ok=True)
            else:
                linked.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, linked)
        self._entries[region_id] = self._parent.entries[region_id]

    def commit(self) -> Ref:
        """Make the version visible and return its reference.

        Raises
        ------
        LabelContractError
            If a region in which a person drew is missing.
        """
        if self._drawn is not None and self._parent is not None:
            require_all_regions(self._entries, self._parent.entries)
        entries = dict(sorted(self._entries.items()))
        digest = version_digest(self._facts, entries)
        info = self._info(digest, entries)
        listed = {region_id: entry.to_json() for region_id, entry in entries.items()}
        (self._work.path / VERSION).write_text(canonical_json(info.to_json()))
        (self._work.path / REGIONS).write_text(canonical_json(listed))
        return commit(self._at, Kind.LABELS, self._work, digest)

    def _info(self, digest: str, entries: dict[str, RegionEntry]) -> VersionInfo:
        count, human = human_total(entries)
        return VersionInfo(
            digest=digest,
            **self._facts,
            n_cells=cells_by_origin(entries),
            n_regions=len(entries),
            human_count=count,
            human_digest=human,
            human_source=self._drawn.info.digest if self._drawn else digest,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _require_new(self, region_id: str) -> None:
        if region_id in self._entries:
            raise LabelContractError(
                f"labels of region {region_id}: written twice in one version; put each region once."
            )
