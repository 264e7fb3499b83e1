"""Windows, levels and micrometres: the only place where scales are computed.

Three scales meet here. *Level-0 pixels* are those of the slide; a slide also stores coarser levels,
each with a downsample that need not be whole (4.016). *Working pixels* are those that networks see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

MINIMUM_MPP = 0.05
MAXIMUM_MPP = 20.0
"""Microscopes for tissue lie between; a 72 dpi tag gives 352.8."""
SAME_SCALE = 0.02
"""Scales that differ by less are the same: resampling by 1 % costs sharpness and gains nothing."""


STRIDE_PX = 32
"""A network repeats its answer for a shifted image only when the shift is a multiple of its total
stride, 32 for the encoders of smp: what it sees begins at multiples of this, in working pixels."""


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of an array, in its pixels."""

    y0: int
    x0: int
    height: int
    width: int


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A rectangle of level-0 pixels, half-open."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Return the width in level-0 pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Return the height in level-0 pixels."""
        return self.y1 - self.y0

    def intersects(self, other: Window) -> bool:
        """Return whether the two share a pixel."""
        across = self.x0 < other.x1 and other.x0 < self.x1
        return across and self.y0 < other.y1 and other.y0 < self.y1

    def clipped(self, other: Window) -> Window:
        """Return the part inside the other window; of size 0 where they share nothing."""
        x0 = min(max(self.x0, other.x0), other.x1)
        y0 = min(max(self.y0, other.y0), other.y1)
        x1 = max(x0, min(self.x1, other.x1))
        return Window(x0, y0, x1, max(y0, min(self.y1, other.y1)))

    def grown(self, by_px: int) -> Window:
        """Return the rectangle with each side moved outwards, or inwards by a negative number."""
        return Window(self.x0 - by_px, self.y0 - by_px, self.x1 + by_px, self.y1 + by_px)

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Return which of the points (n, 2) ``x, y`` lie inside, (n,)."""
        xy = np.asarray(points, np.float64).reshape(-1, 2)
        low, high = (self.x0, self.y0), (self.x1, self.y1)
        return np.asarray(((xy >= low) & (xy < high)).all(axis=1), np.bool_)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a region array lies on its slide: ``level0 = origin + working * downsample``."""

    x0: float
    """Left edge of the array, in level-0 pixels."""
    y0: float
    downsample: float
    """Level-0 pixels per working pixel, at least 1."""

    def to_level0(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Return points (..., 2) of working pixels as level-0 pixels."""
        return np.asarray(xy, np.float64) * self.downsample + (self.x0, self.y0)

    def to_working(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Return points (..., 2) of level-0 pixels as working pixels."""
        return (np.asarray(xy, np.float64) - (self.x0, self.y0)) / self.downsample

    def boxes_to_level0(self, boxes: ArrayLike) -> NDArray[np.float64]:
        """Return boxes (n, 4) ``x0, y0, x1, y1`` of working pixels as level-0 pixels."""
        return self.to_level0(np.asarray(boxes, np.float64).reshape(-1, 2, 2)).reshape(-1, 4)

    def boxes_to_working(self, boxes: ArrayLike) -> NDArray[np.float64]:
        """Return boxes (n, 4) ``x0, y0, x1, y1`` of level-0 pixels as working pixels."""
        return self.to_working(np.asarray(boxes, np.float64).reshape(-1, 2, 2)).reshape(-1, 4)


def plausible_mpp(mpp: float) -> bool:
    """Return whether a number of micrometres per pixel can come from a microscope."""
    return math.isfinite(mpp) and MINIMUM_MPP <= mpp <= MAXIMUM_MPP


def working_downsample(
    slide_mpp: float | None, mpp: float | None, downsample: float | None
) -> float:
    """Return how many level-0 pixels one working pixel spans.

    Parameters
    ----------
    slide_mpp : float or None
        Micrometres per level-0 pixel, None where only pixels are known.
    mpp, downsample : float or None
        The working scale that is wanted: micrometres per pixel, or level-0 pixels per pixel.
        With neither, 1.

    Raises
    ------
    InputError
        If micrometres are asked of a slide without a pixel size, or finer ones than it has.
    """
    if mpp is None:
        wanted = 1.0 if downsample is None else float(downsample)
    elif slide_mpp is None:
        raise InputError(
            f"the settings ask for {mpp:g} micrometres per pixel, but the image has no pixel size. "
            f"Give it with --mpp at ingest, or set tiles.downsample instead of tiles.mpp."
        )
    else:
        wanted = mpp / slide_mpp
    if abs(wanted - 1) <= SAME_SCALE:
        return 1.0
    if wanted < 1:
        finest = f"{slide_mpp:g} micrometres" if slide_mpp else "1 pixel"
        raise InputError(
            f"the working scale is {wanted:.3g} level-0 pixels per pixel: finer than the image, "
            f"whose finest is {finest}. Ask for a coarser tiles.mpp or tiles.downsample."
        )
    return wanted


def on_stride(downsample: float) -> float:
    """Return the nearest downsample at which a stride of a network is a whole number of pixels.

    At most 1.6 % off, less than `SAME_SCALE`. Pieces of a slide that begin at multiples of the
    stride are then read without a fraction of a pixel between them.
    """
    return max(1.0, round(downsample * STRIDE_PX) / STRIDE_PX)


def choose_level(level_downsamples: Sequence[float], downsample: float) -> int:
    """Return the coarsest level that is at least as fine as the downsample, else level 0."""
    fine_enough = [
        (level_downsample, level)
        for level, level_downsample in enumerate(level_downsamples)
        if level_downsample <= downsample * (1 + SAME_SCALE)
    ]
    return max(fine_enough, default=(1.0, 0))[1]


def working_size(window: Window, downsample: float) -> tuple[int, int]:
    """Return height and width of a window in working pixels, at least 1 each."""
    height, width = round(window.height / downsample), round(window.width / downsample)
    return max(1, height), max(1, width)


def placed(window: Window, downsample: float) -> Placement:
    """Return the placement of the array that is read from a window."""
    return Placement(float(window.x0), float(window.y0), downsample)


def level_window(window: Window, level_downsample: float) -> Window:
    """Return a window in the pixels of a level, at least one pixel wide and high.

    Edges go to the nearest pixel of the level: an array read from it lies at most half a pixel of
    that level off, which is at most half a working pixel.
    """
    x0, y0 = round(window.x0 / level_downsample), round(window.y0 / level_downsample)
    x1, y1 = round(window.x1 / level_downsample), round(window.y1 / level_downsample)
    return Window(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))


def spans(n_target: int, source: tuple[int, int], step: int) -> Iterator[tuple[slice, slice]]:
    """Yield matching pieces of two axes, of at most ``step`` target pixels.

    Parameters
    ----------
    n_target : int
        Length of the axis that is written.
    source : (int, int)
        Start and stop on the axis that is read.
    step : int
        At least 1.
    """
    start, stop = source
    scale = (stop - start) / n_target
    for first in range(0, n_target, step):
        last = min(n_target, first + step)
        low, high = start + round(first * scale), start + round(last * scale)
        yield slice(first, last), slice(low, max(high, low + 1))


def grid(width: int, height: int, side_px: float) -> Iterator[Window]:
    """Yield the windows of an aligned grid over an image, row by row; the last ones are cut.

    Parameters
    ----------
    width, height : int
        Of level 0.
    side_px : float
        In level-0 pixels; edges are rounded, so that windows neither overlap nor leave gaps.
    """
    across = [min(width, round(i * side_px)) for i in range(math.ceil(width / side_px) + 1)]
    down = [min(height, round(i * side_px)) for i in range(math.ceil(height / side_px) + 1)]
    for y0, y1 in pairwise(down):
        for x0, x1 in pairwise(across):
            if x1 > x0 and y1 > y0:
                yield Window(x0, y0, x1, y1)
