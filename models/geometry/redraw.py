"""What a person corrected, drawn into the masks of one region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from skimage.draw import polygon

from models.annotations import PixelClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.geometry.settings import EllipseSettings


@dataclass(frozen=True, slots=True)
class Outlined:
    """A cell as a person drew it."""

    cell_id: int
    ring: NDArray[np.float64]
    """(k, 2) ``x, y`` in pixels of the mask."""


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The masks of a region after a review."""

    classes: NDArray[np.uint8]
    cells: NDArray[np.uint32]
    covered: tuple[int, ...]
    """Found cells that lost all their pixels to what a person drew."""
    hidden: tuple[int, ...]
    """Drawn cells for which no pixel was left: they lie within another person's cell."""


def draw_review(
    masks: tuple[NDArray[np.uint8], NDArray[np.uint32]],
    drawn: Sequence[Outlined],
    removed: Sequence[int],
    protected: Sequence[int],
    settings: EllipseSettings,
) -> Reviewed:
    """Return the masks with removed cells gone and drawn cells in their place.

    A drawn cell takes pixels from found cells and from background, never from a protected cell.
    Its edge is the band within its outline that an annotated box of its size would have.

    Parameters
    ----------
    masks : (h, w) uint8, (h, w) uint32
        Classes and cell ids of the region; left as they are.
    drawn
        New cells, and known ones with a new outline.
    removed
        Ids of cells that go.
    protected
        Ids of the person's cells that stay as they are.
    settings
        The width of the edge band.
    """
    classes, cells = masks[0].copy(), masks[1].copy()
    before = set(np.unique(cells).tolist())
    _erase(classes, cells, [*removed, *(one.cell_id for one in drawn)])
    taken = np.isin(cells, np.asarray(protected, np.uint32))
    for one in drawn:
        inside = _filled(one.ring, cells.shape) & ~taken
        cells[inside] = one.cell_id
        classes[inside] = PixelClass.EDGE
        classes[_inner(inside, one.ring, settings)] = PixelClass.INNER
        taken |= inside
    after = set(np.unique(cells).tolist())
    mine = {one.cell_id for one in drawn}
    covered = before - after - set(removed) - mine - {0}
    return Reviewed(classes, cells, tuple(sorted(covered)), tuple(sorted(mine - after)))


def _erase(classes: NDArray[np.uint8], cells: NDArray[np.uint32], ids: Sequence[int]) -> None:
    gone = np.isin(cells, np.asarray(ids, np.uint32))
    classes[gone] = PixelClass.BACKGROUND
    cells[gone] = 0


def _filled(ring: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the pixels whose centre lies within an outline, (h, w)."""
    mask = np.zeros(shape, np.bool_)
    x, y = (ring - 0.5).T  # polygon counts from pixel centres
    mask[polygon(y, x, shape)] = True  # type: ignore[no-untyped-call]  # skimage has no types
    return mask


def _inner(
    inside: NDArray[np.bool_], ring: NDArray[np.float64], settings: EllipseSettings
) -> NDArray[np.bool_]:
    """Return the pixels deeper than the edge band; the deepest one where none is."""
    sides = ring.max(axis=0) - ring.min(axis=0)
    band = max(settings.minimum_edge_px, settings.edge_fraction * float(sides.min()))
    padded = np.pad(inside, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    inner: NDArray[np.bool_] = depth > band
    if not inner.any() and inside.any():
        inner = inside & (depth == depth.max())
    return inner
