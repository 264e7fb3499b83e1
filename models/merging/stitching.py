"""Cells of overlapping blocks of one slide, each of them once."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Protocol

import numpy as np

from models.annotations import empty_boxes
from models.geometry.boxes import centres, overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.geometry.tiles import Window

SAME_CELL = 0.5
"""A cell of which a larger share lies under a cell of another block, or the other way round, is
that cell, seen twice: within a block cells share no pixel."""


class Masked(Protocol):
    """Cells with their pixels, as a map or each by itself."""

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Return (n, 4) ``x0, y0, x1, y1`` half-open, on pixels."""
        ...

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Return the pixels of one cell, within its box."""
        ...


@dataclass(slots=True)
class Stitcher:
    """Says which cells of a block are new; blocks come one after the other.

    Each block answers for the cells centred in its core. A network sees a cell a little differently
    from two blocks, so that its centre may lie on either side of a border, for both of them on the
    wrong one: near borders a cell is taken from whichever block comes first. Everything is in
    working pixels, counted from the slide's corner.
    """

    tolerance_px: int
    """How far the centre of a cell may move between two blocks."""
    reach_px: int | None = None
    """How far beyond its core a block sees at most. Given only where cores come row by row: what no
    later block can see is then forgotten, so that memory grows with a row, not with the slide."""
    _boxes: NDArray[np.float64] = field(default_factory=empty_boxes)
    """(k, 4) of the cells that were taken and reach over or near the border of their core."""
    _masks: list[NDArray[np.bool_]] = field(default_factory=list)
    """Their pixels, each within its box."""

    def new(self, found: Masked, corner: tuple[int, int], core: Window) -> NDArray[np.bool_]:
        """Return which cells of a block are in the result, (n,).

        Parameters
        ----------
        found : Masked
            Cells found in the block: all that are centred in the core or near it, or more.
        corner : (int, int)
            Place y, x of the block's first pixel.
        core : Window
            What the block answers for; the cores of a slide cover it without overlap.
        """
        if self.reach_px is not None:
            self._forget(core.y0 - self.reach_px)
        boxes = found.boxes + np.tile(corner[::-1], 2)
        new = core.grown(self.tolerance_px).contains(centres(boxes))
        own = np.flatnonzero(new)
        meeting = overlaps(boxes[own], self._boxes)
        for row, known in zip(own[meeting.rows].tolist(), meeting.columns.tolist(), strict=True):
            theirs = self._boxes[known], self._masks[known]
            if _is_same(boxes[row], found.mask(row), *theirs):
                new[row] = False
        self._remember(found, boxes, new & ~_inside(boxes, core.grown(-self.tolerance_px)))
        return new

    def _forget(self, above: int) -> None:
        kept = self._boxes[:, 3] > above
        if not kept.all():
            self._boxes = self._boxes[kept]
            self._masks = list(compress(self._masks, kept.tolist()))

    def _remember(
        self, found: Masked, boxes: NDArray[np.float64], taken: NDArray[np.bool_]
    ) -> None:
        rows = np.flatnonzero(taken)
        self._boxes = np.concatenate([self._boxes, boxes[rows]])
        self._masks.extend(found.mask(row) for row in rows.tolist())


def reaching_out(
    found: NDArray[np.float64], seen: Window, core: Window, whole: Window
) -> NDArray[np.bool_]:
    """Return which cells may go on beyond what was seen, though a core answers for them, (n,).

    Parameters
    ----------
    found : (n, 4) float64
        Boxes of the cells, counted from the corner of `seen`.
    seen, core, whole : Window
        Where cells were looked for, what the block answers for, and the slide: at its border a
        cell ends. In working pixels.
    """
    low, high = np.array([seen.x0, seen.y0]), np.array([seen.x1, seen.y1])
    begin, end = found[:, :2] + low, found[:, 2:] + low
    before = (begin <= low) & (low > np.array([whole.x0, whole.y0]))
    behind = (end >= high) & (high < np.array([whole.x1, whole.y1]))
    near = (begin < np.array([core.x1, core.y1])) & (end > np.array([core.x0, core.y0]))
    return np.asarray((before | behind).any(axis=1) & near.all(axis=1), np.bool_)


def _inside(boxes: NDArray[np.float64], window: Window) -> NDArray[np.bool_]:
    low, high = np.array([window.x0, window.y0]), np.array([window.x1, window.y1])
    inside = np.hstack([boxes[:, :2] > low, boxes[:, 2:] < high]).all(axis=1)
    return np.asarray(inside, np.bool_)


def _is_same(
    box: NDArray[np.float64],
    mask: NDArray[np.bool_],
    other_box: NDArray[np.float64],
    other_mask: NDArray[np.bool_],
) -> bool:
    low = np.maximum(box[:2], other_box[:2]).astype(np.intp)
    high = np.minimum(box[2:], other_box[2:]).astype(np.intp)
    shared = _part(mask, box, low, high) & _part(other_mask, other_box, low, high)
    smaller = min(np.count_nonzero(mask), np.count_nonzero(other_mask))
    return bool(np.count_nonzero(shared) > SAME_CELL * smaller)


def _part(
    mask: NDArray[np.bool_],
    box: NDArray[np.float64],
    low: NDArray[np.intp],
    high: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Return the part of a mask between two places."""
    (x0, y0), (x1, y1) = low - box[:2].astype(np.intp), high - box[:2].astype(np.intp)
    return mask[y0:y1, x0:x1]
