"""Two label versions side by side: the whole diff, in memory that does not grow with the pixels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import CellRecords
from storage.block_work import hired
from storage.labels.diff.cells import CellChanges, Change, RegionCells, compare_cells, everything
from storage.labels.diff.pairs import How, Kinship
from storage.labels.diff.pixels import ClassMatrix, PixelsByRegion, count_pixels
from storage.labels.diff.protected import Protected, compare_protected
from storage.labels.diff.settings import DiffSettings
from storage.labels.lineage import Relation, descent, relate
from storage.labels.store import open_version
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from models.runtime_settings import DaskSettings
    from storage.block_work import Workers
    from storage.labels.diff.pixels import PixelsOfTwo
    from storage.labels.store import LabelVersion

COUNTED = (
    "before", "after", "same", "unchanged", "moved", "resized", "rescored", "drifted", "added",
    "removed", "split", "split_off", "merged", "merged_away", "same_by_id", "same_by_annotation",
    "same_by_descent", "same_by_place",
)  # fmt: skip
"""What is counted of cells, in the order in which people read it."""


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What differs between two label versions."""

    before: LabelVersion
    after: LabelVersion
    relation: Relation
    settings: DiffSettings
    regions: tuple[str, ...]
    """Those of either version, sorted; rows of `changes` refer to them by number."""
    counts: dict[str, int]
    """Of `COUNTED`, over all regions."""
    by_region: dict[str, dict[str, int]]
    """The same for each region whose cells differ."""
    changes: CellChanges
    protected: Protected
    pixels: ClassMatrix
    elsewhere: tuple[str, ...]
    """Regions that lie elsewhere or have another scale: their pixels are not compared."""

    @property
    def only_before(self) -> tuple[str, ...]:
        """Return the regions that only the first version has."""
        return tuple(one for one in self.before.region_ids if one not in self.after.entries)

    @property
    def only_after(self) -> tuple[str, ...]:
        """Return the regions that only the second version has."""
        return tuple(one for one in self.after.region_ids if one not in self.before.entries)

    def change_to_json(self, row: int) -> dict[str, Any]:
        """Return one row of the changes as JSON; what it lacks is None."""
        one = self.changes.take(np.array([row]))
        kinds = [str(kind.name).lower() for kind in Change if one.of(kind)[0]]

        def known(value: float) -> float | None:
            return None if np.isnan(value) else float(value)

        return {
            "region": self.regions[one.regions[0]],
            "kinds": kinds,
            "before_id": int(one.before_ids[0]) or None,
            "after_id": int(one.after_ids[0]) or None,
            "same_by": How(int(one.hows[0])).name.lower(),
            "before_box": [known(side) for side in one.before_boxes[0]],
            "after_box": [known(side) for side in one.after_boxes[0]],
            "moved_by_px": known(one.shifts[0]),
            "growth": known(one.growths[0]),
            "before_score": known(one.before_scores[0]),
            "after_score": known(one.after_scores[0]),
            "human": bool(one.human[0]),
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything but the single cells as JSON."""
        moved = self.changes.shifts[self.changes.of(Change.MOVED)]
        return {
            "before": _described(self.before),
            "after": _described(self.after),
            "relation": self.relation.to_json(),
            "cells": self.counts,
            "moved_by_px": {
                name: float(np.quantile(moved, q)) if len(moved) else None
                for name, q in (("median", 0.5), ("p95", 0.95), ("largest", 1.0))
            },
            "protected": self.protected.to_json(),
            "pixels": self.pixels.to_json(),
            "regions": {
                "compared": len(self.regions) - len(self.only_before) - len(self.only_after),
                "only_before": list(self.only_before),
                "only_after": list(self.only_after),
                "elsewhere": list(self.elsewhere),
                "changed": self.by_region,
            },
            "settings": self.settings.model_dump(mode="json"),
        }


def diff(
    at: Workspace,
    before: Ref,
    after: Ref,
    settings: DiffSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
    dask: DaskSettings | None = None,
) -> VersionDiff:
    """Return what differs between two label versions, of one chain or of different ones.

    Parameters
    ----------
    at : Workspace
    before, after : Ref
        The versions; either may be the older one.
    settings : DiffSettings, optional
    progress : callable, optional
        Called with how many regions are done and how many there are.
    dask : DaskSettings, optional
        The cluster that counts the pixels; without it threads do. The result is the same.

    Raises
    ------
    IntegrityError
        If a version is missing or was altered.
    OperationsError
        If the cluster cannot be used, or is lost.
    """
    versions = open_version(at, before), open_version(at, after)
    found = _Comparison(at, *versions, settings or DiffSettings(), progress or _silent)
    with hired(dask) as workers:
        return found.run(workers)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
    del done, total


class _Comparison:
    def __init__(
        self,
        at: Workspace,
        before: LabelVersion,
        after: LabelVersion,
        settings: DiffSettings,
        progress: Callable[[int, int], None],
    ) -> None:
        self.before, self.after, self.settings, self.progress = before, after, settings, progress
        self.relation = relate(at, before, after)
        common = self.relation.common
        cousins = common is not None and self.relation.kind == "cousin"
        self.common = open_version(at, Ref(Kind.LABELS, common)) if cousins and common else None
        self.pixels = ClassMatrix()
        self.parts = PixelsByRegion(before, after)
        self.regions = tuple(sorted({*before.region_ids, *after.region_ids}))
        self.elsewhere: set[str] = set()
        self.total: Counter[str] = Counter()
        self.by_region: dict[str, dict[str, int]] = {}
        self.changes = [_none()]

    def run(self, workers: Workers) -> VersionDiff:
        """Compare the cells of each region, while workers count the pixels of those before."""
        for pair, counted in workers.each(count_pixels, self._parts()):
            if counted is None:
                self.elsewhere.add(pair.before.region_id)
            else:
                self.pixels.add(counted)
        return VersionDiff(
            self.before, self.after, self.relation, self.settings, self.regions,
            {name: self.total[name] for name in COUNTED}, self.by_region,
            CellChanges.joined(self.changes), compare_protected(self.before, self.after),
            self.pixels, tuple(one for one in self.regions if one in self.elsewhere),
        )  # fmt: skip

    def _parts(self) -> Iterator[PixelsOfTwo]:
        """Compare the cells; yield what is to be counted of the pixels."""
        for number, region_id in enumerate(self.regions):
            self.progress(number, len(self.regions))
            if self._is_to_count(region_id):
                yield from self.parts.of(region_id)
            found = self._region(region_id)
            self.total.update(found.counts)
            if len(found.changes):
                self.by_region[region_id] = {name: n for name, n in found.counts.items() if n}
                place = np.full(len(found.changes), number, np.int32)
                self.changes.append(replace(found.changes, regions=place))
        self.progress(len(self.regions), len(self.regions))

    def _is_to_count(self, region_id: str) -> bool:
        """Return whether pixels may differ; write down what is known without a look at them."""
        first, second = (v.entries.get(region_id) for v in (self.before, self.after))
        if first is None or second is None:
            return False
        if first.content == second.content:
            self.pixels.add_equal(self.before, region_id)
            return False
        if first.placement != second.placement:
            self.elsewhere.add(region_id)
            return False
        return True

    def _region(self, region_id: str) -> RegionCells:
        first, second = (v.entries.get(region_id) for v in (self.before, self.after))
        if first is None:
            return everything(self.after.records(region_id), Change.ADDED)
        if second is None:
            return everything(self.before.records(region_id), Change.REMOVED)
        if first.content == second.content:
            n = sum(first.n_cells.values())
            same = dict.fromkeys(("before", "after", "same", "unchanged", "same_by_id"), n)
            return RegionCells(same, _none())
        before, after = self.before.records(region_id), self.after.records(region_id)
        tables = {self.before.info.digest: before, self.after.info.digest: after}
        kin, downsample = self._kin(region_id, tables), first.placement.downsample
        return compare_cells(before, after, kin, downsample, self.settings)

    def _kin(self, region_id: str, tables: dict[str, CellRecords]) -> Kinship:
        kind, line = self.relation.kind, self.relation.line
        if kind in {"descendant", "ancestor"}:
            found = descent(line, region_id, tables)
            older = line[0].next_cell_id(region_id)
            return Kinship(older, found if kind == "descendant" else found.turned())
        if self.common is not None and region_id in self.common.entries:
            return Kinship(self.common.next_cell_id(region_id), None)
        return Kinship(0, None)


def _none() -> CellChanges:
    return everything(CellRecords.none(), Change.ADDED).changes


def _described(version: LabelVersion) -> dict[str, Any]:
    info = version.info
    return {
        "digest": info.digest, "chain": info.chain, "round": info.round, "stage": info.stage,
        "n_cells": dict(info.n_cells), "n_regions": info.n_regions,
    }  # fmt: skip
