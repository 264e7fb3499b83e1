"""Boxes and outlines of the cells in an id map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy import ndimage

from models.annotations import Polygons
from models.geometry.rings import ring_area

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.annotations import Ragged


def boxes_of(cells: NDArray[np.uint32], n_cells: int) -> NDArray[np.float64]:
    """Return the box of each cell in array pixels.

    Parameters
    ----------
    cells : (h, w) uint32
        Cell ids, 0 where there is none.
    n_cells : int
        Highest id that is asked for.

    Returns
    -------
    (n_cells, 4) float64
        ``x0, y0, x1, y1`` half-open; row ``i`` is id ``i + 1``. Zeros for an id without pixels.
    """
    return _boxes(_slices(cells, n_cells))


def outline(cells: NDArray[np.uint32], ids: NDArray[np.uint32]) -> Polygons:
    """Return the outer outline of each asked cell, along the corners of its pixels.

    Parameters
    ----------
    cells : (h, w) uint32
        Cell ids, 0 where there is none.
    ids : (n,)
        Cells that are asked for, in the order of the result.

    Returns
    -------
    Polygons
        In array pixels, corners only. The ring encloses the pixels half-open, so that its
        bounding box is the cell's box and its area the number of pixels (holes counted in).
        Of a cell in several parts the largest is outlined; no points for an id without pixels.
    """
    slices = _slices(cells, int(ids.max(initial=0)))
    rings = []
    for cell in ids.tolist():
        where = slices[cell - 1] if cell else None
        rings.append(_ring(cells, cell, where) if where else np.zeros((0, 2)))
    return _without_repeats(Polygons.of_rings(rings))


def _slices(cells: NDArray[np.uint32], n_cells: int) -> Sequence[tuple[slice, slice] | None]:
    if n_cells == 0:
        return []
    found: list[tuple[slice, slice] | None] = ndimage.find_objects(
        cells.view(np.int32), max_label=n_cells
    )
    return found


def _boxes(slices: Sequence[tuple[slice, slice] | None]) -> NDArray[np.float64]:
    boxes = np.zeros((len(slices), 4), np.float64)
    for row, where in enumerate(slices):
        if where:
            y, x = where
            boxes[row] = x.start, y.start, x.stop, y.stop
    return boxes


def _ring(cells: NDArray[np.uint32], cell: int, where: tuple[slice, slice]) -> NDArray[np.float64]:
    """Return the corners of one cell's outline; a concave corner comes twice."""
    mask = (cells[where] == cell).astype(np.uint8)
    # OpenCV joins pixel centres. In the doubled mask both centres 2 p and 2 p + 1 belong to pixel
    # p, and the outer one of them, plus 1, halved, is the pixel's corner on that side.
    doubled = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    rings, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = [((ring[:, 0] + 1) // 2).astype(np.float64) for ring in rings]
    # By the area in pixels: between pixel centres a thin part would have none.
    largest: NDArray[np.float64] = max(corners, key=ring_area)
    largest += (where[1].start, where[0].start)
    return largest


def _without_repeats(rings: Ragged) -> Polygons:
    """Return the rings without points that repeat the one before."""
    values, starts = rings.values, rings.offsets[:-1][rings.lengths() > 0]
    previous = np.roll(values, 1, axis=0)
    previous[starts] = values[rings.offsets[1:][rings.lengths() > 0] - 1]
    kept = (values != previous).any(axis=1)
    offsets = np.concatenate([[0], np.cumsum(kept)])[rings.offsets]
    return Polygons(values[kept], offsets)
