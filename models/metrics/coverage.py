"""Collective recall: cells that the detections cover together, however they are cut (Li, sec. 3.1).

A cell counts when the union of all detected boxes of its image covers at least a given share of its
box. The area of the union is exact, by coordinate compression, not by counting pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.geometry.boxes import areas
from models.metrics.pairs import meetings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.metrics.pairs import Boxes, Meetings


def covered(
    truth: Boxes, predicted: Boxes, share: float, near: Meetings | None = None
) -> NDArray[np.bool_]:
    """Return whether at least ``share`` of each cell's box lies under detections, (n,).

    Where one detection covers enough, or all of them added up do not, no union is computed. With
    ``share`` at or below the IoU of a match every matched cell is therefore covered.
    ``near`` spares the search for what meets, where it was made before.
    """
    near = near or meetings(truth, predicted)
    needed = share * areas(truth.xyxy)
    n_cells = len(needed)
    largest = np.zeros(n_cells)
    np.maximum.at(largest, near.query, near.shared)
    total = np.bincount(near.query, near.shared, n_cells)
    # Divided, as in the IoU: a product would round differently just at the limit.
    area = areas(truth.xyxy)
    enough: NDArray[np.bool_] = np.divide(largest, area, where=area > 0, out=largest * 0) >= share
    doubtful = np.flatnonzero(~enough & (total >= needed * (1 - 1e-9)) & (needed > 0))
    order = np.argsort(near.query, kind="stable")
    begin = np.searchsorted(near.query[order], doubtful, side="left")
    end = np.searchsorted(near.query[order], doubtful, side="right")
    for cell, first, last in zip(doubtful, begin, end, strict=True):
        boxes = predicted.xyxy[near.other[order[first:last]]]
        enough[cell] = union_inside(truth.xyxy[cell], boxes) / area[cell] >= share
    return enough


def union_inside(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> float:
    """Return the area of the part of ``box`` (4,) that ``boxes`` (k, 4) cover together."""
    low = np.maximum(boxes[:, :2], box[:2])
    high = np.maximum(np.minimum(boxes[:, 2:], box[2:]), low)
    xs = np.unique(np.concatenate([low[:, 0], high[:, 0]]))
    ys = np.unique(np.concatenate([low[:, 1], high[:, 1]]))
    columns = (low[:, :1] <= xs[:-1]) & (xs[:-1] < high[:, :1])
    rows = (low[:, 1:] <= ys[:-1]) & (ys[:-1] < high[:, 1:])
    # A cell of the compressed grid is covered when one box holds both its column and its row.
    filled = (rows[:, :, None] & columns[:, None, :]).any(axis=0)
    return float(np.diff(ys) @ filled @ np.diff(xs))
