"""Boxes drawn as label masks: inscribed ellipse, edge band inside it, inner region (Li, sec. 2.2).

A person marks a box. The cell is taken to be the ellipse inscribed in it; a band inside the border
of the ellipse is *edge*, what remains is *inner*. Where cells meet, edge keeps them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.annotations import PixelClass

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.geometry.settings import EllipseSettings

_FIRST_REACH_PX = 4


@dataclass(slots=True)
class _Ellipse:
    """One cell drawn alone, in the smallest crop that holds it."""

    crop: tuple[slice, slice]
    radius: NDArray[np.float32]
    """Squared normalised radius at pixel centres: 0 at the centre, 1 on the ellipse."""
    inside: NDArray[np.bool_]
    inner: NDArray[np.bool_]
    inner_kept: int
    """Inner pixels that neighbours may not take: half of them, at least one."""


def rasterise(
    boxes: NDArray[np.float64], shape: tuple[int, int], settings: EllipseSettings
) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return the classes and the cell ids of boxes drawn as ellipses.

    A pixel claimed by two cells goes to the one in whose ellipse it lies deeper. Where pixels of
    two cells touch, corners included, both become edge. Neither may take more than half of the
    inner pixels that a cell has when drawn alone: such a cell gets its most central pixels back.
    Only where that cannot be (three cells in one place) does a cell keep fewer, and always one.

    Parameters
    ----------
    boxes : (n, 4) float64
        ``x0, y0, x1, y1`` in pixels of the mask. May stick out of it, not lie outside.
    shape : (height, width)
    settings : EllipseSettings

    Returns
    -------
    classes : (h, w) uint8
        Values of `PixelClass`: background, edge, inner.
    cells : (h, w) uint32
        Row number + 1 where a cell is, else 0.

    Raises
    ------
    ValueError
        If a box has no area or lies outside the mask, or there are more boxes than pixels.

    References
    ----------
    Li, sec. 2.2. The paper gives neither width nor side of the edge band. Ours lies inside the
    ellipse, so that edge and inner together fill the annotated box.
    """
    _require_drawable(boxes, shape)
    ellipses = [_draw_alone(box, shape, settings) for box in boxes.astype(np.float64)]
    cells = _share_pixels(ellipses, shape)
    crowded = _crowded(boxes)
    for row in sorted(crowded, key=lambda row: ellipses[row].inner_kept):
        _take_back(row, ellipses, cells)
    for row in crowded:
        _require_present(row, ellipses, cells)
    classes = _classes(ellipses, cells)
    borders = [(row, _contact(row, ellipses[row], classes, cells)) for row in crowded]
    for row, contact in borders:
        _draw_border(ellipses[row], contact, row, classes, cells)
    return classes, cells


def _require_drawable(boxes: NDArray[np.float64], shape: tuple[int, int]) -> None:
    height, width = shape
    if len(boxes) > height * width:
        raise ValueError(f"{len(boxes)} boxes do not fit a mask of {height} x {width} pixels.")
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    outside = (boxes[:, 2:] <= 0).any(axis=1) | (boxes[:, :2] >= [width, height]).any(axis=1)
    for fault, what in ((empty, "has no area"), (outside, f"is outside {width} x {height}")):
        if fault.any():
            row = int(np.flatnonzero(fault)[0])
            raise ValueError(f"box {row} {boxes[row].tolist()} {what}; drop it before drawing.")


def _draw_alone(
    box: NDArray[np.float64], shape: tuple[int, int], settings: EllipseSettings
) -> _Ellipse:
    x0, y0, x1, y1 = box.tolist()
    height, width = shape
    rows = slice(max(int(y0), 0), min(int(np.ceil(y1)), height))
    columns = slice(max(int(x0), 0), min(int(np.ceil(x1)), width))
    y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5 - (y0 + y1) / 2) ** 2
    x = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - (x0 + x1) / 2) ** 2
    half_y, half_x = (y1 - y0) / 2, (x1 - x0) / 2
    band = max(settings.minimum_edge_px, settings.edge_fraction * 2 * min(half_x, half_y))
    radius = (y / half_y**2)[:, None] + (x / half_x**2)[None, :]
    inside = radius <= 1
    inner = np.zeros_like(inside)
    if band < min(half_x, half_y):
        inner = (y / (half_y - band) ** 2)[:, None] + (x / (half_x - band) ** 2)[None, :] <= 1
    if not inner.any():
        # Too small for a band: the pixel nearest to the centre is the inner region.
        inner[np.unravel_index(int(radius.argmin()), radius.shape)] = True
    count = int(np.count_nonzero(inner))
    return _Ellipse((rows, columns), radius, inside | inner, inner, (count + 1) // 2)


def _share_pixels(ellipses: list[_Ellipse], shape: tuple[int, int]) -> NDArray[np.uint32]:
    cells = np.zeros(shape, np.uint32)
    deepest = np.full(shape, np.inf, np.float32)
    for row, ellipse in enumerate(ellipses):
        won = ellipse.inside & (ellipse.radius < deepest[ellipse.crop])
        np.copyto(deepest[ellipse.crop], ellipse.radius, where=won)
        cells[ellipse.crop][won] = row + 1
    return cells


def _crowded(boxes: NDArray[np.float64]) -> list[int]:
    """Return the rows whose box, grown to whole pixels, touches another one."""
    order = np.argsort(boxes[:, 0], kind="stable")
    low, high = np.floor(boxes[order, :2]) - 0.5, np.ceil(boxes[order, 2:]) + 0.5
    found = np.zeros(len(boxes), bool)
    ends = np.searchsorted(low[:, 0], high[:, 0], side="left")
    for one in range(len(boxes)):
        others = slice(one + 1, ends[one])
        near = (low[others, 1] < high[one, 1]) & (high[others, 1] > low[one, 1])
        found[others] |= near
        found[one] |= near.any()
    rows: list[int] = np.sort(order[found]).tolist()
    return rows


def _owned_inner(row: int, ellipse: _Ellipse, cells: NDArray[np.uint32]) -> NDArray[np.bool_]:
    owned: NDArray[np.bool_] = ellipse.inner & (cells[ellipse.crop] == row + 1)
    return owned


def _take_back(row: int, ellipses: list[_Ellipse], cells: NDArray[np.uint32]) -> None:
    """Give a cell its most central pixels until it has its half, as far as others can spare."""
    mine = ellipses[row]
    lacking = mine.inner_kept - int(np.count_nonzero(_owned_inner(row, mine, cells)))
    if lacking <= 0:
        return
    view = cells[mine.crop]
    wanted = mine.inner & (view != row + 1)
    spare = {}
    for other in (np.unique(view[wanted]) - 1).tolist():
        theirs = ellipses[other]
        owned = int(np.count_nonzero(_owned_inner(other, theirs, cells)))
        spare[other] = owned - theirs.inner_kept
    y, x = np.nonzero(wanted)
    for index in np.argsort(mine.radius[y, x], kind="stable").tolist():
        at = int(y[index]), int(x[index])
        other = int(view[at]) - 1
        costs = _inner_at(ellipses[other], at[0] + mine.crop[0].start, at[1] + mine.crop[1].start)
        if spare[other] >= costs and lacking > 0:
            view[at] = row + 1
            spare[other] -= costs
            lacking -= 1


def _inner_at(ellipse: _Ellipse, y: int, x: int) -> bool:
    rows, columns = ellipse.crop
    return bool(ellipse.inner[y - rows.start, x - columns.start])


def _require_present(row: int, ellipses: list[_Ellipse], cells: NDArray[np.uint32]) -> None:
    """Give a cell that has no pixel left the nearest one that is nobody's last."""
    mine = ellipses[row]
    if (cells[mine.crop] == row + 1).any():
        return
    y, x = np.nonzero(mine.inner)
    deepest = int(np.argmin(mine.radius[y, x]))
    centre = int(y[deepest]) + mine.crop[0].start, int(x[deepest]) + mine.crop[1].start
    cells[_nearest_spare(centre, cells)] = row + 1


def _nearest_spare(centre: tuple[int, int], cells: NDArray[np.uint32]) -> tuple[int, int]:
    reach = _FIRST_REACH_PX
    while True:
        top, left = max(centre[0] - reach, 0), max(centre[1] - reach, 0)
        view = cells[top : centre[0] + reach + 1, left : centre[1] + reach + 1]
        last = [cell for cell in np.unique(view[view > 0]) if np.count_nonzero(cells == cell) == 1]
        y, x = np.nonzero(~np.isin(view, last))
        if len(y):
            nearest = np.argmin((y + top - centre[0]) ** 2 + (x + left - centre[1]) ** 2)
            return int(y[nearest]) + top, int(x[nearest]) + left
        reach *= 2


def _classes(ellipses: list[_Ellipse], cells: NDArray[np.uint32]) -> NDArray[np.uint8]:
    classes = np.where(cells > 0, np.uint8(PixelClass.EDGE), np.uint8(PixelClass.BACKGROUND))
    for row, ellipse in enumerate(ellipses):
        owned = _owned_inner(row, ellipse, cells)
        if owned.any():
            classes[ellipse.crop][owned] = PixelClass.INNER
        else:
            # Neighbours took all of its inner region: one pixel of what is left stands for it.
            classes.flat[np.flatnonzero(cells == row + 1)[0]] = PixelClass.INNER
    return classes


def _contact(
    row: int, ellipse: _Ellipse, classes: NDArray[np.uint8], cells: NDArray[np.uint32]
) -> NDArray[np.bool_]:
    """Return the inner pixels of a cell, in its crop, that touch another cell."""
    rows, columns = ellipse.crop
    top, left = max(rows.start - 1, 0), max(columns.start - 1, 0)
    view = cells[top : rows.stop + 1, left : columns.stop + 1]
    others = ((view > 0) & (view != row + 1)).astype(np.uint8)
    near = cv2.dilate(others, np.ones((3, 3), np.uint8))
    down, right = rows.start - top, columns.start - left
    height, width = ellipse.inner.shape
    near = near[down : down + height, right : right + width]
    own = (cells[ellipse.crop] == row + 1) & (classes[ellipse.crop] == PixelClass.INNER)
    contact: NDArray[np.bool_] = own & (near > 0)
    return contact


def _draw_border(
    ellipse: _Ellipse, contact: NDArray[np.bool_], row: int,
    classes: NDArray[np.uint8], cells: NDArray[np.uint32],
) -> None:  # fmt: skip
    view = classes[ellipse.crop]
    inner = (view == PixelClass.INNER) & (cells[ellipse.crop] == row + 1)
    affordable = max(int(np.count_nonzero(inner)) - ellipse.inner_kept, 0)
    y, x = np.nonzero(contact)
    outermost = np.argsort(-ellipse.radius[y, x], kind="stable")[:affordable]
    view[y[outermost], x[outermost]] = PixelClass.EDGE
