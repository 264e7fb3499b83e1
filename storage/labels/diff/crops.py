"""Pieces of tissue around single changes, with the outlines of all cells before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Origin
from models.geometry.rings import ellipse_ring
from storage.labels.diff.cells import Change
from storage.labels.diff.pairs import How
from storage.labels.diff.telling import telling_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.annotations import CellRecords
    from models.geometry.tiles import Placement
    from storage.labels.diff.compare import VersionDiff
    from storage.labels.store import LabelVersion
    from storage.regions import Regions

SIDE_PX = 128
"""Of a crop, in working pixels; more where the cell is large."""
LARGEST_PX = 512


@dataclass(frozen=True, slots=True)
class Outline:
    """One cell in a crop."""

    kind: str
    """human, same, changed, gone or new."""
    ring: NDArray[np.float64]
    """(k, 2) ``x, y`` in pixels of the crop."""
    is_subject: bool
    """Whether the crop is about this cell."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One change, with what surrounds it."""

    region: str
    row: int
    """Of the changes."""
    kinds: Change
    corner: tuple[int, int]
    """Left and top edge in working pixels of the region."""
    image: NDArray[np.uint8] | None
    """(side, side, 3) RGB; None where no image is at hand."""
    side_px: int
    before: tuple[Outline, ...]
    after: tuple[Outline, ...]


def telling_crops(
    found: VersionDiff,
    regions: Regions | None,
    n_shown: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Crop]:
    """Return the most telling changes as crops.

    Parameters
    ----------
    found : VersionDiff
    regions : Regions, optional
        Where the images come from.
    n_shown : int
    progress : callable, optional
        Called with how many crops are done and how many there are.
    """
    rows = telling_rows(found, n_shown)
    cutter = _Cutter(found, regions)
    crops = []
    # Region by region: each table of records is read once.
    for done, row in enumerate(sorted(rows, key=lambda row: int(found.changes.regions[row]))):
        if progress:
            progress(done, len(rows))
        crops.append(cutter.crop(row))
    return sorted(crops, key=lambda crop: rows.index(crop.row))


class _Cutter:
    def __init__(self, found: VersionDiff, regions: Regions | None) -> None:
        self.found, self.regions = found, regions
        self.pictured = {info.region_id for info in regions.infos} if regions else set()
        self._read: tuple[str, tuple[CellRecords | None, CellRecords | None]] = ("", (None, None))

    def crop(self, row: int) -> Crop:
        """Return the crop around one change."""
        changes = self.found.changes
        region_id = self.found.regions[changes.regions[row]]
        versions = self.found.before, self.found.after
        version = versions[1] if region_id in versions[1].entries else versions[0]
        place = version.placement(region_id)
        boxes = place.boxes_to_working(
            np.stack([changes.before_boxes[row], changes.after_boxes[row]])
        )
        low, high = np.nanmin(boxes[:, :2], axis=0), np.nanmax(boxes[:, 2:], axis=0)
        side = int(np.clip(np.ceil(1.5 * (high - low).max()), SIDE_PX, LARGEST_PX))
        height, width = version.classes(region_id).shape
        # Moved inwards at the border of the region, as far as the region is large enough.
        corner = np.floor((low + high - side) / 2)
        x, y = np.maximum(np.minimum(corner, [width - side, height - side]), 0).astype(int).tolist()
        tables = self._tables(region_id)
        before, after = (
            self._outlines(table, place, (x, y, side), row, is_after=bool(number))
            for number, table in enumerate(tables)
        )
        return Crop(
            region_id, row, Change(int(changes.kinds[row])), (x, y),
            self._image(region_id, x, y, side), side, before, after,
        )  # fmt: skip

    def _tables(self, region_id: str) -> tuple[CellRecords | None, CellRecords | None]:
        if self._read[0] != region_id:
            versions = self.found.before, self.found.after
            tables = [_records(version, region_id) for version in versions]
            self._read = region_id, (tables[0], tables[1])
        return self._read[1]

    def _outlines(
        self, records: CellRecords | None, place: Placement, window: tuple[int, int, int], row: int,
        *, is_after: bool,
    ) -> tuple[Outline, ...]:  # fmt: skip
        if records is None:
            return ()
        x, y, side = window
        boxes = place.boxes_to_working(records.boxes) - [x, y, x, y]
        inside = ((boxes[:, 2:] > 0) & (boxes[:, :2] < side)).all(axis=1)
        changes, number = self.found.changes, self.found.changes.regions[row]
        ids = changes.after_ids if is_after else changes.before_ids
        own = int(ids[row])
        here = np.flatnonzero(changes.regions == number)
        # A part that split off names the whole before; what merged names the merged cell after.
        fates = {
            int(ids[r]): r for r in here.tolist() if _is_of_side(self.found, r, is_after=is_after)
        }
        return tuple(
            Outline(
                _kind(self.found, records, one, fates.get(int(records.cell_ids[one]))),
                place.to_working(_ring(records, one)) - (x, y),
                int(records.cell_ids[one]) == own,
            )
            for one in np.flatnonzero(inside).tolist()
        )

    def _image(self, region_id: str, x: int, y: int, side: int) -> NDArray[np.uint8] | None:
        if self.regions is None or region_id not in self.pictured:
            return None
        info = self.regions.info(region_id)
        image = np.full((side, side, 3), 235, np.uint8)
        top, left = max(0, y), max(0, x)
        height, width = min(info.height, y + side) - top, min(info.width, x + side) - left
        if height > 0 and width > 0:
            part = self.regions.read(region_id, top, left, height, width)
            image[top - y : top - y + height, left - x : left - x + width] = part
        return image


def _records(version: LabelVersion, region_id: str) -> CellRecords | None:
    return version.records(region_id) if region_id in version.entries else None


def _is_of_side(found: VersionDiff, row: int, *, is_after: bool) -> bool:
    """Return whether a row tells the fate of its own cell on one side, not of a relative's."""
    if found.changes.hows[row] != How.NOT:
        return True
    own = (Change.ADDED | Change.SPLIT) if is_after else (Change.REMOVED | Change.MERGED)
    return bool(found.changes.kinds[row] & own)


def _kind(found: VersionDiff, records: CellRecords, one: int, row: int | None) -> str:
    if records.origins[one] == Origin.HUMAN:
        return "human"
    if row is None:
        return "same"
    if found.changes.hows[row] != How.NOT:
        return "changed"
    kinds = found.changes.kinds[row]
    return "new" if kinds & (Change.ADDED | Change.SPLIT) else "gone"


def _ring(records: CellRecords, row: int) -> NDArray[np.float64]:
    ring = records.polygons[row]
    return ring if len(ring) > 2 else ellipse_ring(records.boxes[row])
