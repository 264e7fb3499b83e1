"""Which cells of one region are the same in two label versions.

Cells are paired in this order, each once:

1. by id, where one version grew from the other, and below the common ancestor's ids in cousins;
2. by the annotation of a person;
3. by descent: a cell whose id ended, and the closest of what grew from it;
4. by place: cells without kin whose boxes overlap enough.

A person's cell neither splits nor merges.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from models.geometry.boxes import areas, overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.annotations import CellRecords
    from storage.labels.diff.settings import DiffSettings
    from storage.labels.lineage import Descent


class How(IntEnum):
    """How two cells were found to be the same."""

    NOT = 0
    ID = 1
    ANNOTATION = 2
    DESCENT = 3
    PLACE = 4


@dataclass(frozen=True, slots=True)
class Kinship:
    """What is known of the cells of two versions besides their records."""

    first_foreign: int
    """Ids below it name the same cell in both."""
    descent: Descent | None
    """Which cells after grew from which before, or the reverse; None if nobody knows."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Cells that are the same, as rows of the two tables."""

    rows: NDArray[np.intp]
    """(2, k)"""
    hows: NDArray[np.uint8]
    """(k,)"""


def related_rows(
    before: CellRecords, after: CellRecords, kin: Kinship, settings: DiffSettings
) -> NDArray[np.intp]:
    """Return the rows (2, k) of cells that nobody drew, one of which grew from the other.

    Only where they still share enough: what was one for a round and is two again is no split.
    """
    if kin.descent is None:
        return np.zeros((2, 0), np.intp)
    rows = (
        _rows_of(before.cell_ids, kin.descent.older),
        _rows_of(after.cell_ids, kin.descent.younger),
    )
    found = (rows[0] >= 0) & (rows[1] >= 0)
    a, b = rows[0][found], rows[1][found]
    free = ~before.is_human[a] & ~after.is_human[b]
    a, b = a[free], b[free]
    first, second = before.boxes[a], after.boxes[b]
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = np.where((sides > 0).all(axis=1), sides.prod(axis=1), 0.0)
    smaller = np.minimum(areas(first), areas(second))
    return np.stack([a, b])[:, shared >= settings.part_share * smaller]


def _rows_of(ids: NDArray[np.uint32], wanted: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Return the row of each wanted id, -1 where there is none."""
    if not len(ids):
        return np.full(len(wanted), -1, np.intp)
    order = np.argsort(ids)
    place = np.minimum(np.searchsorted(ids[order], wanted), len(ids) - 1)
    rows = order[place]
    return np.where(ids[rows] == wanted, rows, -1)


def pair(
    before: CellRecords, after: CellRecords, kin: Kinship, related: NDArray[np.intp],
    settings: DiffSettings,
) -> Pairs:  # fmt: skip
    """Return which cells of two tables are the same.

    Parameters
    ----------
    before, after : CellRecords
        Of one region in both versions.
    kin : Kinship
    related : (2, k)
        From `related_rows`.
    settings : DiffSettings
    """
    free = np.ones(len(before), bool), np.ones(len(after), bool)
    found: list[tuple[NDArray[np.intp], How]] = []

    def take(rows: NDArray[np.intp], how: How) -> None:
        free[0][rows[0]] = False
        free[1][rows[1]] = False
        found.append((rows, how))

    known = before.cell_ids < kin.first_foreign, after.cell_ids < kin.first_foreign
    take(_equal(before.cell_ids, after.cell_ids, known), How.ID)
    drawn = before.annotation_ids != "", after.annotation_ids != ""
    unpaired = free[0] & drawn[0], free[1] & drawn[1]
    take(_equal(before.annotation_ids, after.annotation_ids, unpaired), How.ANNOTATION)
    take(_closest(before, after, related, free, 0.0), How.DESCENT)
    strangers = free[0].copy(), free[1].copy()
    strangers[0][related[0]] = False
    strangers[1][related[1]] = False
    others = _all_near(before, after, strangers, settings.same_place_iou)
    take(_closest(before, after, others, free, settings.same_place_iou), How.PLACE)
    hows = [np.full(rows.shape[1], how, np.uint8) for rows, how in found]
    return Pairs(np.concatenate([rows for rows, _ in found], axis=1), np.concatenate(hows))


def _equal(
    first: NDArray[Any], second: NDArray[Any], among: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> NDArray[np.intp]:
    """Return the rows (2, k) of equal values among those of two masks, each value once."""
    rows = np.flatnonzero(among[0]), np.flatnonzero(among[1])
    _, a, b = np.intersect1d(first[rows[0]], second[rows[1]], return_indices=True)
    return np.stack([rows[0][a], rows[1][b]])


def _all_near(
    before: CellRecords,
    after: CellRecords,
    free: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    minimum: float,
) -> NDArray[np.intp]:
    rows = np.flatnonzero(free[0]), np.flatnonzero(free[1])
    near = overlaps(before.boxes[rows[0]], after.boxes[rows[1]], minimum / 2)
    return np.stack([rows[0][near.rows], rows[1][near.columns]])


def _closest(
    before: CellRecords,
    after: CellRecords,
    candidates: NDArray[np.intp],
    free: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    minimum: float,
) -> NDArray[np.intp]:
    """Return candidates of free cells, the largest IoU of boxes first, each cell once."""
    candidates = candidates[:, free[0][candidates[0]] & free[1][candidates[1]]]
    iou = row_iou(before.boxes[candidates[0]], after.boxes[candidates[1]])
    kept = np.flatnonzero(iou >= minimum)
    order = kept[np.lexsort((candidates[1, kept], candidates[0, kept], -iou[kept]))]
    used: tuple[set[int], set[int]] = set(), set()
    chosen = []
    for place, a, b in zip(order.tolist(), *candidates[:, order].tolist(), strict=True):
        if a not in used[0] and b not in used[1]:
            used[0].add(a)
            used[1].add(b)
            chosen.append(place)
    return candidates[:, np.array(chosen, np.intp)]


def row_iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each pair of boxes, (n,); 0 for two without an area."""
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = np.where((sides > 0).all(axis=1), sides.prod(axis=1), 0.0)
    union = areas(first) + areas(second) - shared
    return shared / np.where(union > 0, union, 1.0)
