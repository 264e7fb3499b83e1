"""Where windows lie on a region, how they are read, and how much each of their pixels counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.geometry.tiles import STRIDE_PX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.prediction.protocols import BlockSource
    from models.prediction.settings import WindowSettings

CROSSING_PX = 8
"""Neighbours cross over in so many pixels, in the middle of their overlap."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The windows along one side of an area."""

    starts: tuple[int, ...]
    """First pixel of each window, a multiple of the stride from the slide's corner; negative in the
    mirrored margin."""
    side: int
    """Pixels of each window."""
    taper: NDArray[np.float32]
    """(side,) weight of each pixel of a window."""
    total: NDArray[np.float32]
    """(length,) summed weights of the windows over each pixel of the area."""


def lay_windows(
    first: int, last: int, settings: WindowSettings, border_px: int = 0, place: int = 0
) -> Axis:
    """Return windows of one size that cover one side of an area, as few as the settings allow.

    Parameters
    ----------
    first, last : int
        The area along this side, half-open, in pixels of the source.
    settings : WindowSettings
        Largest window and smallest overlap.
    border_px : int
        How far from its border a window is spoiled, because the network sees nothing beyond. No
        such pixel counts, except in the outermost windows, which begin by so much outside the area.
    place : int
        Of the source's first pixel on the slide: there windows begin at multiples of the stride.

    Notes
    -----
    Windows are no larger than it takes: an area that fits is seen at once. Where half a window
    would be overlap, windows grow instead, so that an area costs at most four times its pixels.
    """
    overlap, margin = _overlap(settings, border_px), margin_of(settings, border_px)
    largest = max(settings.window_px, 2 * overlap)
    begin = (first - margin + place) // STRIDE_PX * STRIDE_PX - place
    # What the stride adds at the beginning may make windows larger, but not more of them.
    number = max(1, -((overlap - (last - first + 2 * margin)) // (largest - overlap)))
    reach = last + margin - begin
    side = _up(-((-reach - (number - 1) * overlap) // number))
    number = max(1, -((overlap - reach) // (side - overlap)))
    starts = tuple(begin + k * (side - overlap) for k in range(number))
    taper = _taper(side, overlap)
    total = np.zeros(last - first, np.float32)
    for start in starts:
        low, high = max(first, start), min(last, start + side)
        total[low - first : max(low, high) - first] += taper[low - start : max(low, high) - start]
    return Axis(starts, side, taper, total)


def margin_of(settings: WindowSettings, border_px: int) -> int:
    """Return how far around an area the outermost windows begin, at least."""
    return _up(_overlap(settings, border_px) // 2)


def _overlap(settings: WindowSettings, border_px: int) -> int:
    return _up(max(settings.overlap_px, 2 * border_px))


def _up(length: int) -> int:
    return -(-length // STRIDE_PX) * STRIDE_PX


def _taper(side: int, overlap: int) -> NDArray[np.float32]:
    """Return the weights along a window: 0 at its ends, 1 inside, those of two neighbours sum to 1.

    They cross over, as a raised cosine, in the middle of the overlap only: further out a window
    sees too little of the surroundings to have a say.
    """
    depth = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    rise = np.clip((depth - overlap / 2) / CROSSING_PX + 0.5, 0, 1) if overlap else np.ones(side)
    return np.asarray(np.sin(np.pi / 2 * rise) ** 2, np.float32)


def read_mirrored(
    source: BlockSource, y0: int, x0: int, height: int, width: int
) -> NDArray[np.uint8]:
    """Return the rectangle (height, width, 3) at a place that may reach beyond the source.

    What lies beyond is the source mirrored at its border pixels, as often as it takes.
    """
    rows, columns = _mirrored(y0, height, source.shape[0]), _mirrored(x0, width, source.shape[1])
    top, left = int(rows.min()), int(columns.min())
    block = source.read(top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left)
    if (rows[0], columns[0], *block.shape[:2]) == (top, left, height, width):
        return block
    return block[(rows - top)[:, None], columns - left]


def _mirrored(start: int, count: int, length: int) -> NDArray[np.intp]:
    """Return indices start to start + count, those outside 0 to length mirrored back inside."""
    period = max(1, 2 * (length - 1))
    folded = np.abs(np.arange(start, start + count)) % period
    return np.minimum(folded, period - folded) if length > 1 else np.zeros(count, np.intp)
