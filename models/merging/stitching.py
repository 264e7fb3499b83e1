"""Cells of overlapping blocks of one slide, each of them once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import empty_boxes
from models.geometry.boxes import centres, overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.geometry.tiles import Window

SAME_CELL = 0.5
"""Boxes of two blocks that overlap by a higher IoU are one cell, seen twice."""


@dataclass(slots=True)
class Stitcher:
    """Says which cells of a block are new; blocks come one after the other.

    Each block answers for the cells centred in its core. A network sees a cell a little differently
    from two blocks, so that its centre may lie on either side of a border, for both of them on the
    wrong one: near borders a cell is taken from whichever block comes first.
    """

    tolerance_px: int
    """How far the centre of a cell may move between two blocks, in level-0 pixels."""
    _near_borders: NDArray[np.float64] = field(default_factory=empty_boxes)

    def new(self, boxes: NDArray[np.float64], core: Window) -> NDArray[np.bool_]:
        """Return which cells of a block are in the result, (n,).

        Parameters
        ----------
        boxes : (n, 4) float64
            Of all cells found in the block, in level-0 pixels.
        core : Window
            What the block answers for; the cores of a slide cover it without overlap.
        """
        middles = centres(boxes)
        own = core.grown(self.tolerance_px).contains(middles)
        near = own & ~core.grown(-self.tolerance_px).contains(middles)
        candidates = np.flatnonzero(near)
        known = overlaps(boxes[candidates], self._near_borders, SAME_CELL)
        own[candidates[known.rows]] = False
        self._near_borders = np.concatenate([self._near_borders, boxes[near & own]])
        return own
