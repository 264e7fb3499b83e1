"""Which found cell is which cell of the label version before, and which cells it grew from.

The rule, from one version to the next, by shared pixels (`docs/label-versions.md` has it in words):

- A cell *is* the cell before that it overlaps most, if their IoU is at least ``identity_iou``; the
  closest pairs are served first and each id once.
- The *parents* of a cell are all cells before that are close enough to be it, and all that it
  shares at least `PARENT_SHARE` of the smaller one's pixels with. So every part of a cell that
  split knows the whole, and a cell that merged knows all its parts, however small they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARENT_SHARE = 0.5
"""Of the smaller one's pixels, which two cells must share for one to have grown from the other."""


@dataclass(frozen=True, slots=True)
class PixelOverlaps:
    """Pairs of cells of two label masks that share pixels."""

    first: NDArray[np.int64]
    """(k,) id in the first mask."""
    second: NDArray[np.int64]
    """(k,) id in the second mask."""
    iou: NDArray[np.float64]
    """(k,) shared pixels over all pixels of both."""
    share: NDArray[np.float64]
    """(k,) shared pixels over all pixels of the smaller one."""

    def at(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> PixelOverlaps:
        """Return the pairs of a mask or of indices, in order."""
        return PixelOverlaps(self.first[rows], self.second[rows], self.iou[rows], self.share[rows])

    def above(self, minimum: float) -> PixelOverlaps:
        """Return the pairs whose IoU is at least `minimum`, the largest first, then by ids."""
        kept = np.flatnonzero(self.iou >= minimum)
        kept = kept[np.lexsort((self.second[kept], self.first[kept], -self.iou[kept]))]
        return self.at(kept)


def pixel_overlaps(first: NDArray[np.integer], second: NDArray[np.integer]) -> PixelOverlaps:
    """Return the pairs of cells of two (h, w) masks of ids that share pixels; 0 is no cell."""
    both = (first > 0) & (second > 0)
    a, b = first[both].astype(np.int64), second[both].astype(np.int64)
    n_second = int(second.max(initial=0)) + 1
    pairs, shared = np.unique(a * n_second + b, return_counts=True)
    area_first = np.bincount(first.ravel().astype(np.int64))
    area_second = np.bincount(second.ravel().astype(np.int64))
    a, b = pairs // n_second, pairs % n_second
    area_a, area_b = area_first[a], area_second[b]
    share = shared / np.minimum(area_a, area_b)
    return PixelOverlaps(a, b, shared / (area_a + area_b - shared), share)


def one_to_one(overlaps: PixelOverlaps) -> dict[int, int]:
    """Return which id of the second mask each id of the first takes, each used once.

    Pairs are taken in the order given: sort with `PixelOverlaps.above` for the largest first.
    """
    taken: dict[int, int] = {}
    used: set[int] = set()
    for first, second in zip(overlaps.first.tolist(), overlaps.second.tolist(), strict=True):
        if first not in taken and second not in used:
            taken[first] = second
            used.add(second)
    return taken


def parents(overlaps: PixelOverlaps, cells: NDArray[np.integer], minimum_iou: float) -> Ragged:
    """Return the cells of the second mask that each cell of the first grew from.

    Parameters
    ----------
    overlaps : PixelOverlaps
        From `pixel_overlaps`.
    cells : (n,)
        Ids of the first mask, in the order of the result.
    minimum_iou : float
        From which IoU on two cells may be the same.

    Returns
    -------
    Ragged
        (n,) rows of uint32, each rising; empty for a cell that grew from none.
    """
    position = np.full(int(max(cells.max(initial=0), overlaps.first.max(initial=0))) + 1, -1)
    position[cells] = np.arange(len(cells))
    row = position[overlaps.first]
    related = (overlaps.iou >= minimum_iou) | (overlaps.share >= PARENT_SHARE)
    kept = np.flatnonzero(related & (row >= 0))
    kept = kept[np.lexsort((overlaps.second[kept], row[kept]))]
    counts = np.bincount(row[kept], minlength=len(cells))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Ragged(overlaps.second[kept].astype(np.uint32), offsets)
