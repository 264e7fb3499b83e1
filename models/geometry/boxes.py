"""Boxes ``x0, y0, x1, y1``, half-open: areas, clipping, and which of two sets overlap how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Overlaps:
    """The pairs of two sets of boxes that overlap: a sparse IoU matrix."""

    rows: NDArray[np.int64]
    """(k,) index into the first set, rising."""
    columns: NDArray[np.int64]
    """(k,) index into the second set, rising within a row."""
    iou: NDArray[np.float64]
    """(k,) intersection over union, above 0."""


def areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of each box, (n,); an inverted box has none."""
    sides: NDArray[np.float64] = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]


def centres(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centre of each box, (n, 2) ``x, y``."""
    middle: NDArray[np.float64] = (boxes[:, :2] + boxes[:, 2:]) / 2
    return middle


def clip(
    boxes: NDArray[np.float64], bounds: tuple[float, float, float, float]
) -> NDArray[np.float64]:
    """Return the part of each box inside ``bounds`` (``x0, y0, x1, y1``).

    A box that lies outside comes back with no area, on the nearest border.
    """
    x0, y0, x1, y1 = bounds
    return np.clip(boxes, [x0, y0, x0, y0], [x1, y1, x1, y1])


def overlaps(
    first: NDArray[np.float64], second: NDArray[np.float64], minimum: float = 0.0
) -> Overlaps:
    """Return every pair whose IoU is above ``minimum``.

    Parameters
    ----------
    first, second : (n, 4) and (m, 4) float64
        Boxes. Only pairs near each other along x are compared, so that a slide's
        10,000 cells do not cost 10^8 comparisons.
    minimum : float
        Pairs at or below it are left out.
    """
    rows, columns = _near_along_x(first, second)
    a, b = first[rows], second[columns]
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.where((sides > 0).all(axis=1), sides[:, 0] * sides[:, 1], 0.0)
    found = shared > 0
    rows, columns, shared = rows[found], columns[found], shared[found]
    iou = shared / (areas(first)[rows] + areas(second)[columns] - shared)
    kept = np.flatnonzero(iou > minimum)
    kept = kept[np.lexsort((columns[kept], rows[kept]))]
    return Overlaps(rows[kept], columns[kept], iou[kept])


def _near_along_x(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if len(first) == 0 or len(second) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.argsort(second[:, 0], kind="stable")
    left = second[order, 0]
    widest = float((second[:, 2] - second[:, 0]).max())
    begin = np.searchsorted(left, first[:, 0] - widest, side="left")
    end = np.maximum(np.searchsorted(left, first[:, 2], side="left"), begin)
    counts = end - begin
    rows = np.repeat(np.arange(len(first)), counts)
    # Position within each row's range: a running count that restarts at every row.
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, order[np.repeat(begin, counts) + within]
