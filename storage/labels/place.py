"""What a label version holds at one place of a slide, and what it held there before."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import PixelClass
from models.errors import WrongUseError
from storage.labels.log import ancestry
from storage.labels.store import open_version

if TYPE_CHECKING:
    import zarr
    from numpy.typing import NDArray

    from storage.labels.schema import VersionInfo
    from storage.labels.store import LabelVersion
    from storage.layout import Ref, Workspace

FIRST_LOOK_PX = 128
"""How far around a place the nearest cell is looked for at first, in working pixels."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The cell that lies nearest to a place."""

    cell: int
    distance_px: float
    """From the place to the edge of its nearest pixel, in level-0 pixels."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A cell that lay at a place in an earlier version, and does no longer."""

    cell: int
    last: VersionInfo
    """The last version in which it lay there."""
    by: VersionInfo
    """The version in which it does not."""
    now: tuple[int, ...]
    """Cells elsewhere in `by` that it became; empty if it was removed altogether."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "cell": self.cell,
            "how": "moved away" if self.now else "removed",
            "now": list(self.now),
            "last_version": self.last.digest,
            "by": {
                "version": self.by.digest, "round": self.by.round, "arm": self.by.stage,
                "chain": self.by.chain, "parameters": dict(self.by.parameters),
            },
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """What lies at one place."""

    x: float
    y: float
    pixel: str
    """background, edge, inner or ignore."""
    cell: int | None
    nearest: Nearest | None
    """Where there is no cell: the nearest one; None if the region has none at all."""
    removal: Removal | None
    """Where there is no cell: the last one that was there, if any ever was."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "at": [self.x, self.y],
            "pixel": self.pixel,
            "cell": self.cell,
            "nearest": asdict(self.nearest) if self.nearest else None,
            "removed": self.removal.to_json() if self.removal else None,
        }


def look(at: Workspace, ref: Ref, region_id: str, x: float, y: float) -> Place:
    """Return what a version holds at a place, given in level-0 pixels of the slide.

    Raises
    ------
    NotFoundError
        If the version has no such region.
    WrongUseError
        If the place lies outside the region.
    """
    version = open_version(at, ref)
    column, row = _pixel_of(version, region_id, x, y)
    pixel = PixelClass(_value(version.classes(region_id), row, column)).name.lower()
    cell = _value(version.cells(region_id), row, column)
    if cell:
        return Place(x, y, pixel, cell, None, None)
    removal = _removal(at, ref, region_id, row, column)
    return Place(x, y, pixel, None, _nearest(version, region_id, x, y), removal)


def _value(array: zarr.Array[Any], row: int, column: int) -> int:
    return int(np.asarray(array[row, column]))


def _pixel_of(version: LabelVersion, region_id: str, x: float, y: float) -> tuple[int, int]:
    place = version.placement(region_id)
    height, width = version.classes(region_id).shape
    column, row = np.floor(place.to_working((x, y)))
    if not (0 <= column < width and 0 <= row < height):
        right, bottom = place.to_level0((width, height))
        raise WrongUseError(
            f"x {x:g}, y {y:g} lies outside region {region_id}, which reaches from x {place.x0:g} "
            f"to {right:g} and from y {place.y0:g} to {bottom:g} in level-0 pixels of its slide."
        )
    return int(column), int(row)


def _nearest(version: LabelVersion, region_id: str, x: float, y: float) -> Nearest | None:
    """Look in a window around the place that doubles until nothing outside can be nearer."""
    cells, place = version.cells(region_id), version.placement(region_id)
    height, width = cells.shape
    middle_x, middle_y = place.to_working((x, y))
    reach = FIRST_LOOK_PX
    while True:
        top, left = (max(0, int(middle) - reach) for middle in (middle_y, middle_x))
        seen = np.asarray(cells[top : int(middle_y) + reach + 1, left : int(middle_x) + reach + 1])
        rows, columns = np.nonzero(seen)
        is_whole = reach > max(height, width)
        if len(rows):
            across = _outside(columns + left, middle_x)
            away = np.hypot(across, _outside(rows + top, middle_y))
            first = int(away.argmin())
            if is_whole or away[first] < reach:
                found = int(seen[rows[first], columns[first]])
                return Nearest(found, float(away[first] * place.downsample))
        if is_whole:
            return None
        reach *= 2


def _outside(pixels: NDArray[np.intp], point: float) -> NDArray[np.float64]:
    """Return how far a point lies outside each pixel along one axis."""
    away: NDArray[np.float64] = np.maximum(0, np.maximum(pixels - point, point - pixels - 1))
    return away


def _removal(at: Workspace, ref: Ref, region_id: str, row: int, column: int) -> Removal | None:
    line = ancestry(at, ref, complete=False)
    younger = open_version(at, line[0].ref)
    for info in line[1:]:
        older = open_version(at, info.ref)
        if region_id not in older.entries:
            return None
        if older.entries[region_id].content != younger.entries[region_id].content:
            cell = _value(older.cells(region_id), row, column)
            if cell:
                return Removal(cell, info, younger.info, _became(younger, region_id, cell))
        younger = older
    return None


def _became(version: LabelVersion, region_id: str, cell: int) -> tuple[int, ...]:
    ids, parents = version.parents(region_id)
    rows = np.repeat(np.arange(len(ids)), parents.lengths())[parents.values == cell]
    return tuple(np.union1d(ids[rows], ids[ids == cell]).tolist())
