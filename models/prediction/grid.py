"""Where windows lie on a region, how they are read, and how much each of their pixels counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.prediction.protocols import BlockSource
    from models.prediction.settings import WindowSettings


@dataclass(frozen=True, slots=True)
class Axis:
    """The windows along one side of a region."""

    starts: tuple[int, ...]
    """First pixel of each window; negative where a window begins in the mirrored margin."""
    taper: NDArray[np.float32]
    """(window,) weight of each pixel of a window."""
    total: NDArray[np.float32]
    """(length,) summed weights of the windows over each pixel of the region."""


def lay_windows(length: int, settings: WindowSettings) -> Axis:
    """Return windows that cover one side of a region with the least overlap.

    The side is mirrored by half an overlap at both ends, so that the region's border too is seen
    by the middle of a window. The last window is moved back to end with the margin.
    """
    window, overlap = settings.window_px, settings.overlap_px
    margin = overlap // 2
    reach = length + 2 * margin
    last = max(0, reach - window)
    starts = [*range(0, last, window - overlap), last]
    places = tuple(start - margin for start in starts)
    taper = _taper(window, overlap)
    total = np.zeros(length, np.float32)
    for place in places:
        inside = slice(max(0, place), min(length, place + window))
        total[inside] += taper[inside.start - place : inside.stop - place]
    return Axis(places, taper, total)


def _taper(window: int, overlap: int) -> NDArray[np.float32]:
    """Return the weights along a window: 0 at its ends, 1 inside, those of two neighbours sum to 1.

    They cross over, as a raised cosine, in the middle half of an overlap: in the outer quarter a
    window sees too little of the surroundings to have a say.
    """
    depth = np.minimum(np.arange(window), np.arange(window)[::-1]) + 0.5
    rise = np.clip(2 * depth / overlap - 0.5, 0, 1) if overlap else np.ones(window)
    return np.asarray(np.sin(np.pi / 2 * rise) ** 2, np.float32)


def read_mirrored(source: BlockSource, y0: int, x0: int, side_px: int) -> NDArray[np.uint8]:
    """Return the square (side, side, 3) at a place that may reach beyond the region.

    What lies beyond is the region mirrored at its border pixels, as often as it takes.
    """
    height, width = source.shape
    rows, columns = _mirrored(y0, side_px, height), _mirrored(x0, side_px, width)
    top, left = int(rows.min()), int(columns.min())
    block = source.read(top, left, int(rows.max()) + 1 - top, int(columns.max()) + 1 - left)
    if block.shape[:2] == (side_px, side_px):
        return block
    return block[(rows - top)[:, None], columns - left]


def _mirrored(start: int, count: int, length: int) -> NDArray[np.intp]:
    """Return indices start to start + count, those outside 0 to length mirrored back inside."""
    period = max(1, 2 * (length - 1))
    folded = np.abs(np.arange(start, start + count)) % period
    return np.minimum(folded, period - folded) if length > 1 else np.zeros(count, np.intp)
