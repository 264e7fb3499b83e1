"""Which found cell is which cell of the label version before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class PixelOverlaps:
    """Pairs of cells of two label masks that share pixels."""

    first: NDArray[np.int64]
    """(k,) id in the first mask."""
    second: NDArray[np.int64]
    """(k,) id in the second mask."""
    iou: NDArray[np.float64]
    """(k,) shared pixels over all pixels of both."""

    def at(self, rows: NDArray[np.bool_]) -> PixelOverlaps:
        """Return the pairs of a mask, in order."""
        return PixelOverlaps(self.first[rows], self.second[rows], self.iou[rows])

    def above(self, minimum: float) -> PixelOverlaps:
        """Return the pairs whose IoU is at least `minimum`, the largest first, then by ids."""
        kept = np.flatnonzero(self.iou >= minimum)
        kept = kept[np.lexsort((self.second[kept], self.first[kept], -self.iou[kept]))]
        return PixelOverlaps(self.first[kept], self.second[kept], self.iou[kept])


def pixel_overlaps(first: NDArray[np.integer], second: NDArray[np.integer]) -> PixelOverlaps:
    """Return the pairs of cells of two (h, w) masks of ids that share pixels; 0 is no cell."""
    both = (first > 0) & (second > 0)
    a, b = first[both].astype(np.int64), second[both].astype(np.int64)
    n_second = int(second.max(initial=0)) + 1
    pairs, shared = np.unique(a * n_second + b, return_counts=True)
    area_first = np.bincount(first.ravel().astype(np.int64))
    area_second = np.bincount(second.ravel().astype(np.int64))
    a, b = pairs // n_second, pairs % n_second
    return PixelOverlaps(a, b, shared / (area_first[a] + area_second[b] - shared))


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
