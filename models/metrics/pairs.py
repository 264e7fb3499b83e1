"""Which boxes of two sets meet, over all images at once.

`models.geometry.boxes.overlaps` answers this for one image. A dataset has hundreds, and a Python
loop over them costs more than the comparison, so here the images lie side by side on one axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.geometry.boxes import areas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PAIRS_AT_ONCE = 1_000_000
"""Pairs held in memory together: about 60 MB."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """The boxes of many images, image by image."""

    xyxy: NDArray[np.float64]
    """(n, 4) ``x0, y0, x1, y1``."""
    image: NDArray[np.int64]
    """(n,) index of the image, rising."""


@dataclass(frozen=True, slots=True)
class Meetings:
    """Pairs of boxes of the same image that share some area."""

    query: NDArray[np.int64]
    """(k,) row of the first set."""
    other: NDArray[np.int64]
    """(k,) row of the second set."""
    shared: NDArray[np.float64]
    """(k,) area of the intersection, above 0."""

    def iou(self, query: Boxes, other: Boxes) -> NDArray[np.float64]:
        """Return intersection over union, (k,).

        The union is summed so that it is never rounded below the area of the first box:
        that share of the first box which the second covers is then never below the IoU.
        """
        rest = areas(other.xyxy)[self.other] - self.shared
        overlap: NDArray[np.float64] = self.shared / (areas(query.xyxy)[self.query] + rest)
        return overlap

    def turned(self) -> Meetings:
        """Return the same pairs with the sets in the other order."""
        return Meetings(self.other, self.query, self.shared)


def meetings(query: Boxes, other: Boxes) -> Meetings:
    """Return every pair of boxes of one image whose intersection has an area."""
    found = [_meeting(query, other, rows, mates) for rows, mates in _near(query, other)]
    if not found:
        nothing = np.zeros(0, np.int64)
        return Meetings(nothing, nothing, np.zeros(0))
    return Meetings(
        np.concatenate([one.query for one in found]),
        np.concatenate([one.other for one in found]),
        np.concatenate([one.shared for one in found]),
    )


def _meeting(
    query: Boxes, other: Boxes, rows: NDArray[np.int64], mates: NDArray[np.int64]
) -> Meetings:
    # One axis after the other: most candidates of a column fall out on y.
    height = _shared_side(query, other, rows, mates, 1)
    kept = height > 0
    rows, mates, height = rows[kept], mates[kept], height[kept]
    width = _shared_side(query, other, rows, mates, 0)
    kept = width > 0
    return Meetings(rows[kept], mates[kept], width[kept] * height[kept])


def _shared_side(
    query: Boxes, other: Boxes, rows: NDArray[np.int64], mates: NDArray[np.int64], axis: int
) -> NDArray[np.float64]:
    begin = np.maximum(query.xyxy[:, axis][rows], other.xyxy[:, axis][mates])
    end = np.minimum(query.xyxy[:, axis + 2][rows], other.xyxy[:, axis + 2][mates])
    side: NDArray[np.float64] = end - begin
    return side


def _near(query: Boxes, other: Boxes) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield candidate pairs, in portions, that may overlap along x."""
    if len(query.image) == 0 or len(other.image) == 0:
        return
    left_most = min(query.xyxy[:, 0].min(), other.xyxy[:, 0].min())
    reach = max(query.xyxy[:, 2].max(), other.xyxy[:, 2].max()) - left_most
    step = 1.01 * reach + 1  # the gap keeps images apart, whatever is rounded
    place = other.xyxy[:, 0] - left_most + other.image * step
    order = np.argsort(place, kind="stable")
    place = place[order]
    origin = query.image * step - left_most
    slack = 4 * np.spacing(place[-1] + step)
    widest = (other.xyxy[:, 2] - other.xyxy[:, 0]).max()
    lowest = np.maximum(query.xyxy[:, 0] - widest, left_most)
    begin = np.searchsorted(place, lowest + origin - slack, side="left")
    end = np.searchsorted(place, query.xyxy[:, 2] + origin + slack, side="left")
    counts = np.maximum(end - begin, 0)
    for rows in _portions(counts):
        some = counts[rows]
        within = np.arange(int(some.sum())) - np.repeat(np.cumsum(some) - some, some)
        yield np.repeat(rows, some), order[np.repeat(begin[rows], some) + within]


def _portions(counts: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield rows that have candidates, in runs of about `PAIRS_AT_ONCE` pairs."""
    rows = np.flatnonzero(counts)
    portion = np.cumsum(counts[rows]) // PAIRS_AT_ONCE
    starts = np.flatnonzero(np.diff(portion)) + 1
    yield from (part for part in np.split(rows, starts) if len(part))
