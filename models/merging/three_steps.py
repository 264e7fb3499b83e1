"""The paper's three merge steps, per pixel, with a person's cells protected (Li, sec. 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np
from scipy.ndimage import find_objects

from models.annotations import PixelClass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.merging.settings import MergeSettings


@dataclass(frozen=True, slots=True)
class HumanCells:
    """The cells that a person drew in one region, as version 0 holds them."""

    classes: NDArray[np.uint8]
    """(h, w) `PixelClass`; background where no person drew a cell."""
    cells: NDArray[np.uint32]
    """(h, w) cell ids, 0 where no person drew a cell."""

    @classmethod
    def select(
        cls, classes: NDArray[np.uint8], cells: NDArray[np.uint32], human_ids: NDArray[np.uint32]
    ) -> Self:
        """Return the cells of a label version whose ids are a person's."""
        is_human = np.zeros(int(cells.max(initial=0)) + 1, bool)
        is_human[human_ids[human_ids < len(is_human)]] = True
        kept = is_human[cells]
        return cls(np.where(kept, classes, PixelClass.BACKGROUND).astype(np.uint8), cells * kept)


def classify(
    edge: NDArray[np.floating], inner: NDArray[np.floating], settings: MergeSettings
) -> NDArray[np.uint8]:
    """Return the class that each predicted pixel offers to the merge.

    Parameters
    ----------
    edge, inner : (h, w) float
        Probabilities, 0 to 1.
    settings : MergeSettings
        `threshold` and `ignore_above`.

    References
    ----------
    Li, sec. 3.2. Whether the threshold is meant per pixel or per cell is not said; read per pixel,
    on p(edge) + p(inner).
    """
    edge, inner = edge.astype(np.float32), inner.astype(np.float32)
    foreground = edge + inner
    classes = np.where(inner >= edge, np.uint8(PixelClass.INNER), np.uint8(PixelClass.EDGE))
    classes[foreground <= settings.threshold] = PixelClass.BACKGROUND
    if settings.ignore_above is not None:
        unsure = (foreground > settings.ignore_above) & (foreground <= settings.threshold)
        classes[unsure] = PixelClass.IGNORE
    return classes


def merge(
    predicted: NDArray[np.uint8], human: HumanCells, settings: MergeSettings
) -> NDArray[np.uint8]:
    """Return the classes of the next label version.

    1. inner = predicted inner and a person's inner;
    2. edge = predicted edge and a person's edge, which overwrites inner of step 1;
    3. the rest is background, or ignored where the prediction is.

    Predicted background therefore never erases a person's pixel, and predicted edge parts cells
    that touch.

    Parameters
    ----------
    predicted : (h, w) uint8
        Background, edge, inner or ignore, from `classify`.
    human : HumanCells
    settings : MergeSettings
        `human_inner_kept`.

    References
    ----------
    Li, sec. 2.3. Differs: predicted edge may erase at most half of the inner pixels of a person's
    cell, and may not cut it in two: the person said that it is one cell. A cell that would lose
    more or fall apart is put back as it was drawn.
    """
    inner = (predicted == PixelClass.INNER) | (human.classes == PixelClass.INNER)
    edge = (predicted == PixelClass.EDGE) | (human.classes == PixelClass.EDGE)
    merged = np.where(predicted == PixelClass.IGNORE, PixelClass.IGNORE, PixelClass.BACKGROUND)
    merged = merged.astype(np.uint8)
    merged[inner] = PixelClass.INNER
    merged[edge] = PixelClass.EDGE
    harmed = _harmed(merged, human, settings.human_inner_kept)
    return np.where(harmed[human.cells], human.classes, merged)


def _harmed(merged: NDArray[np.uint8], human: HumanCells, kept: float) -> NDArray[np.bool_]:
    """Return whether the person's cell of each id lost too much or fell apart; id 0 did not."""
    of_inner = human.cells[human.classes == PixelClass.INNER]
    of_kept = human.cells[(human.classes == PixelClass.INNER) & (merged == PixelClass.INNER)]
    n_ids = int(human.cells.max(initial=0)) + 1
    before, after = np.bincount(of_inner, minlength=n_ids), np.bincount(of_kept, minlength=n_ids)
    harmed: NDArray[np.bool_] = after < kept * before
    suspects = np.flatnonzero((after < before) & ~harmed)
    if len(suspects):
        where = find_objects(human.cells.view(np.int32))
        for cell in suspects.tolist():
            harmed[cell] = _fell_apart(merged, human, cell, where[cell - 1])
    return harmed


def _fell_apart(
    merged: NDArray[np.uint8], human: HumanCells, cell: int, where: tuple[slice, slice]
) -> bool:
    """Return whether the inner pixels of a person's cell are in more pieces than when drawn."""
    drawn = (human.cells[where] == cell) & (human.classes[where] == PixelClass.INNER)
    kept = drawn & (merged[where] == PixelClass.INNER)
    return _pieces(kept) > _pieces(drawn)


def _pieces(mask: NDArray[np.bool_]) -> int:
    return int(cv2.connectedComponents(mask.view(np.uint8), connectivity=4)[0]) - 1
