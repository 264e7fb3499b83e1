"""How each cell of one region changed between two label versions.

Cells that are the same (`storage.labels.diff.pairs` says which) may have moved, been resized or
re-scored. Of the others, a cell that grew from one which lives on *split off*, one that went into
another *merged*; the rest was added or removed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntFlag
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Columns
from models.geometry.boxes import areas, centres
from storage.labels.diff.pairs import How, pair, related_rows, row_iou
from storage.labels.lineage import unique_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.annotations import CellRecords, Polygons
    from storage.labels.diff.pairs import Kinship, Pairs
    from storage.labels.diff.settings import DiffSettings


class Change(IntFlag):
    """What happened to a cell; several may hold."""

    ADDED = 1
    REMOVED = 2
    MOVED = 4
    RESIZED = 8
    RESCORED = 16
    DRIFTED = 32
    """It kept its id, but overlaps what it was too little to be called the same by its place."""
    SPLIT = 64
    """It is a part of a cell that became several."""
    MERGED = 128
    """It went into a cell that several became."""


@dataclass(frozen=True, slots=True)
class CellChanges(Columns):
    """Cells that differ, one row each; what a row lacks is 0 or NaN."""

    regions: NDArray[np.int32]
    """(n,) number of the region in the diff."""
    before_ids: NDArray[np.uint32]
    """(n,) 0 where there was none; of a part that split off, the whole."""
    after_ids: NDArray[np.uint32]
    """(n,) 0 where there is none any more; of a cell that merged, the one it went into."""
    before_boxes: NDArray[np.float64]
    """(n, 4) level-0 pixels."""
    after_boxes: NDArray[np.float64]
    kinds: NDArray[np.uint8]
    """(n,) values of `Change`, summed."""
    hows: NDArray[np.uint8]
    """(n,) values of `How`."""
    shifts: NDArray[np.float64]
    """(n,) how far the centre of the box moved, in level-0 pixels."""
    growths: NDArray[np.float64]
    """(n,) area after over area before, less 1."""
    before_scores: NDArray[np.float64]
    after_scores: NDArray[np.float64]
    human: NDArray[np.bool_]
    """(n,) whether it is a person's cell in either version."""

    def of(self, change: Change) -> NDArray[np.bool_]:
        """Return which rows have a change, (n,)."""
        mask: NDArray[np.bool_] = (self.kinds & change) > 0
        return mask


@dataclass(frozen=True, slots=True)
class RegionCells:
    """How the cells of one region differ."""

    counts: dict[str, int]
    changes: CellChanges
    """Only the cells that differ."""


def compare_cells(
    before: CellRecords, after: CellRecords, kin: Kinship, downsample: float, settings: DiffSettings
) -> RegionCells:
    """Return how the cells of one region differ.

    Parameters
    ----------
    before, after : CellRecords
        Of the region in both versions.
    kin : Kinship
    downsample : float
        Level-0 pixels per working pixel.
    settings : DiffSettings
    """
    related = related_rows(before, after, kin, settings)
    pairs = pair(before, after, kin, related, settings)
    related = unique_pairs(np.concatenate([related, pairs.rows], axis=1))
    split = np.bincount(related[0], minlength=len(before)) > 1
    merged = np.bincount(related[1], minlength=len(after)) > 1
    same = _measured(before, after, pairs, downsample, settings)
    kinds = same.kinds | _flag(split[pairs.rows[0]], Change.SPLIT)
    same = replace(same, kinds=kinds | _flag(merged[pairs.rows[1]], Change.MERGED))
    changes = CellChanges.joined(
        [
            same.take(np.flatnonzero(same.kinds)),
            _left(before, after, related, pairs.rows, side=0),
            _left(before, after, related, pairs.rows, side=1),
        ]
    )
    return RegionCells(_counts(before, after, pairs, changes, split, merged), changes)


def everything(records: CellRecords, change: Change) -> RegionCells:
    """Return all cells of a region that only one of the versions has, as added or removed."""
    rows = np.arange(len(records))
    none = records.take(rows[:0])
    pairs = (records, none) if change is Change.REMOVED else (none, records)
    changes = _rows(*pairs, *((rows, None) if change is Change.REMOVED else (None, rows)))
    changes = replace(changes, kinds=np.full(len(rows), change, np.uint8))
    key = change.name.lower() if change.name else ""
    side = "before" if change is Change.REMOVED else "after"
    return RegionCells({side: len(rows), key: len(rows)}, changes)


def _measured(
    before: CellRecords, after: CellRecords, pairs: Pairs, downsample: float,
    settings: DiffSettings,
) -> CellChanges:  # fmt: skip
    """Return a row for every pair, with what changed beyond the settings."""
    rows = _rows(before, after, *pairs.rows)
    rows = replace(rows, hows=pairs.hows, growths=_growth(before, after, pairs))
    scores = np.abs(rows.after_scores - rows.before_scores)
    drifted = row_iou(rows.before_boxes, rows.after_boxes) < settings.same_place_iou
    kinds = (
        _flag(rows.shifts > settings.moved_px * downsample, Change.MOVED)
        | _flag(np.abs(rows.growths) > settings.resized, Change.RESIZED)
        | _flag(scores > settings.rescored, Change.RESCORED)
        | _flag(drifted & (pairs.hows == How.ID), Change.DRIFTED)
    )
    return replace(rows, kinds=kinds)


def _flag(mask: NDArray[np.bool_], change: Change) -> NDArray[np.uint8]:
    return mask.astype(np.uint8) * np.uint8(change)


def _left(
    before: CellRecords,
    after: CellRecords,
    related: NDArray[np.intp],
    paired: NDArray[np.intp],
    *,
    side: int,
) -> CellChanges:
    """Return the cells of one side that are none of the other: gone or merged, new or split off.

    Those with kin on the other side name the one they overlap most.
    """
    n = (len(before), len(after))[side]
    left = np.ones(n, bool)
    left[paired[side]] = False
    kin = related[:, left[related[side]]]
    iou = row_iou(before.boxes[kin[0]], after.boxes[kin[1]])
    kin = kin[:, np.lexsort((kin[1 - side], -iou, kin[side]))]
    kin = kin[:, np.unique(kin[side], return_index=True)[1]]
    left[kin[side]] = False
    alone = np.flatnonzero(left)
    with_kin = _rows(before, after, *kin)
    without = _rows(before, after, *((alone, None) if side == 0 else (None, alone)))
    fate = (Change.MERGED, Change.SPLIT)[side], (Change.REMOVED, Change.ADDED)[side]
    parts = [
        replace(rows, kinds=np.full(len(rows), kind, np.uint8))
        for rows, kind in zip((with_kin, without), fate, strict=True)
    ]
    return CellChanges.joined(parts)


def _rows(
    before: CellRecords,
    after: CellRecords,
    a: NDArray[np.intp] | None,
    b: NDArray[np.intp] | None,
) -> CellChanges:
    """Return a row for each cell or pair; None stands for no cell."""
    n = len(a) if a is not None else len(b) if b is not None else 0
    boxes = (_boxes(before, a, n), _boxes(after, b, n))
    scores = (_scores(before, a, n), _scores(after, b, n))
    human = np.zeros(n, bool)
    for records, rows in ((before, a), (after, b)):
        if rows is not None:
            human |= records.is_human[rows]
    return CellChanges(
        regions=np.zeros(n, np.int32),
        before_ids=np.zeros(n, np.uint32) if a is None else before.cell_ids[a],
        after_ids=np.zeros(n, np.uint32) if b is None else after.cell_ids[b],
        before_boxes=boxes[0],
        after_boxes=boxes[1],
        kinds=np.zeros(n, np.uint8),
        hows=np.zeros(n, np.uint8),
        shifts=np.hypot(*(centres(boxes[1]) - centres(boxes[0])).T),
        growths=np.full(n, np.nan),
        before_scores=scores[0],
        after_scores=scores[1],
        human=human,
    )


def _boxes(records: CellRecords, rows: NDArray[np.intp] | None, n: int) -> NDArray[np.float64]:
    return np.full((n, 4), np.nan) if rows is None else records.boxes[rows]


def _scores(records: CellRecords, rows: NDArray[np.intp] | None, n: int) -> NDArray[np.float64]:
    return np.full(n, np.nan) if rows is None else records.scores[rows]


def _growth(before: CellRecords, after: CellRecords, pairs: Pairs) -> NDArray[np.float64]:
    """Return how much each cell grew: by its outline, by its box where either has none."""
    a, b = pairs.rows
    first, second = areas(before.boxes[a]), areas(after.boxes[b])
    rings = ring_areas(before.polygons)[a], ring_areas(after.polygons)[b]
    outlined = (rings[0] > 0) & (rings[1] > 0)
    first, second = np.where(outlined, rings[0], first), np.where(outlined, rings[1], second)
    growth: NDArray[np.float64] = second / np.where(first > 0, first, np.nan) - 1
    return growth


def ring_areas(rings: Polygons) -> NDArray[np.float64]:
    """Return the area that each ring encloses, (n,), 0 where there is none."""
    values, offsets = rings.values, rings.offsets
    if not len(values):
        return np.zeros(len(rings), np.float64)
    following = np.arange(1, len(values) + 1)
    drawn = np.flatnonzero(np.diff(offsets))
    following[offsets[drawn + 1] - 1] = offsets[drawn]
    # From a corner nearby: the sum over a million points must not cost the last digits.
    x, y = np.ascontiguousarray((values - values[0]).T)
    turns = x * y[following] - x[following] * y
    totals = np.concatenate([np.zeros(1), np.cumsum(turns)])
    enclosed: NDArray[np.float64] = np.abs(totals[offsets[1:]] - totals[offsets[:-1]]) / 2
    return enclosed


def _counts(
    before: CellRecords, after: CellRecords, pairs: Pairs, changes: CellChanges,
    split: NDArray[np.bool_], merged: NDArray[np.bool_],
) -> dict[str, int]:  # fmt: skip
    same = changes.hows != How.NOT
    counts = {
        "before": len(before),
        "after": len(after),
        "same": pairs.rows.shape[1],
        "unchanged": pairs.rows.shape[1] - int(np.count_nonzero(same)),
        "split": int(np.count_nonzero(split)),
        "split_off": int(np.count_nonzero(changes.of(Change.SPLIT) & ~same)),
        "merged": int(np.count_nonzero(merged)),
        "merged_away": int(np.count_nonzero(changes.of(Change.MERGED) & ~same)),
    }
    for change in (Change.ADDED, Change.REMOVED):
        counts[str(change.name).lower()] = int(np.count_nonzero(changes.of(change)))
    for change in (Change.MOVED, Change.RESIZED, Change.RESCORED, Change.DRIFTED):
        counts[str(change.name).lower()] = int(np.count_nonzero(changes.of(change) & same))
    for how in (How.ID, How.ANNOTATION, How.DESCENT, How.PLACE):
        counts[f"same_by_{how.name.lower()}"] = int(np.count_nonzero(pairs.hows == how))
    return counts
