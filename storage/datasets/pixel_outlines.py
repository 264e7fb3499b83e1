"""The exact outline of a cell's pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


PIECES = "cells of several pieces, outlined by the largest"
HOLES = "cells with holes, which their outline fills"


class PixelOutline(NamedTuple):
    """What surrounds a cell's pixels."""

    ring: NDArray[np.float64]
    """(k, 2) ``x, y`` of the corners of the largest piece, which meet nowhere; not closed."""
    n_pieces: int
    """Pieces of which no two share the side of a pixel."""
    has_holes: bool
    """Whether the ring surrounds pixels that the largest piece does not have."""
    share: float
    """Of the pixels, in the largest piece."""


def pixel_outline(mask: NDArray[np.bool_]) -> PixelOutline:
    """Return the outline of a mask along the sides of its pixels.

    Pixel ``(x, y)`` covers ``[x, x + 1) x [y, y + 1)``, as everywhere here: the ring encloses
    exactly the pixels of the largest piece and of its holes, and its box is theirs.

    Parameters
    ----------
    mask : (h, w) bool
        With at least one pixel.
    """
    n_labels, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8),
                                                                  connectivity=4)  # fmt: skip
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    piece = (labels == largest).view(np.uint8)
    # OpenCV's contour runs through the middle of pixels. In a picture twice as large, each corner
    # of a pixel is next to a pixel of its own, whose coordinates are halved and rounded up.
    twice = piece.repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    corners = (contours[0][:, 0, :] + 1) // 2
    ring = _without_straights(corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)])
    x, y = ring.T
    enclosed = abs(int(x @ np.roll(y, -1) - y @ np.roll(x, -1))) // 2
    n_pixels = int(stats[largest, cv2.CC_STAT_AREA])
    share = n_pixels / int(stats[1:, cv2.CC_STAT_AREA].sum())
    return PixelOutline(ring.astype(np.float64), n_labels - 1, enclosed > n_pixels, share)


def _without_straights(ring: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return a ring without the points at which it does not turn."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    corners: NDArray[np.int64] = ring[turns].astype(np.int64)
    return corners
