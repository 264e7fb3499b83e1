"""Which detection found which annotated cell.

Greedy by falling score, one cell per detection: a detection takes the best cell that is still free
among those it overlaps enough. The public DigestPath solution looks at the best cell only and calls
the detection false when that one is taken; between touching cells that depends on who came first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Role
from models.metrics.pairs import Boxes, Meetings, meetings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

UNMATCHED = -1


@dataclass(frozen=True, slots=True)
class ImageCells:
    """What is known of one image and what was found in it."""

    image_id: str
    slide: str
    """Images of one slide are resampled together."""
    role: Role
    complete: bool
    """Whether ``truth`` holds every cell of the image."""
    truth: NDArray[np.float64]
    """(n, 4) boxes ``x0, y0, x1, y1`` of the annotated cells."""
    predicted: NDArray[np.float64]
    """(m, 4) boxes of the detections."""
    scores: NDArray[np.float64]
    """(m,) higher is surer."""


@dataclass(frozen=True, slots=True)
class Matches:
    """All cells and detections of a set of images, image by image, and who found whom."""

    truth: Boxes
    predicted: Boxes
    scores: NDArray[np.float64]
    """(m,) of each detection."""
    found: NDArray[np.int64]
    """(m,) the row of `truth` that each detection found, or `UNMATCHED`."""
    near: Meetings
    """Every detection and cell that share some area."""

    @property
    def is_hit(self) -> NDArray[np.bool_]:
        """(m,) whether each detection found a cell."""
        hit: NDArray[np.bool_] = self.found != UNMATCHED
        return hit


def match(images: Sequence[ImageCells], iou: float) -> Matches:
    """Return the matches of all images.

    Parameters
    ----------
    images : sequence of ImageCells
        Coordinates in any unit, the same for truth and detections of an image.
    iou : float
        Boxes match when their intersection over union is at least this, above 0.
    """
    truth = _joined([image.truth for image in images])
    predicted = _joined([image.predicted for image in images])
    scores = np.concatenate([np.zeros(0), *(image.scores for image in images)])
    near = meetings(predicted, truth)
    overlap = near.iou(predicted, truth)
    return Matches(truth, predicted, scores, _greedy(near, overlap, scores, iou), near)


def match_boxes(
    truth: NDArray[np.float64],
    predicted: NDArray[np.float64],
    scores: NDArray[np.float64],
    iou: float,
) -> NDArray[np.int64]:
    """Return, for each detection of one image, the row of the cell it found or -1, (m,)."""
    return match([ImageCells("", "", Role.POSITIVE, False, truth, predicted, scores)], iou).found


def _joined(boxes: list[NDArray[np.float64]]) -> Boxes:
    counts = [len(one) for one in boxes]
    return Boxes(
        np.concatenate([np.zeros((0, 4)), *boxes]), np.repeat(np.arange(len(boxes)), counts)
    )


def _greedy(
    near: Meetings, iou: NDArray[np.float64], scores: NDArray[np.float64], minimum: float
) -> NDArray[np.int64]:
    kept = np.flatnonzero(iou >= minimum)
    rows, cells = near.query[kept], near.other[kept]
    # Ties: of equal scores the earlier detection, of equal overlaps the earlier cell.
    order = np.lexsort((cells, -iou[kept], rows, -scores[rows]))
    found = np.full(len(scores), UNMATCHED)
    free = bytearray(b"\1") * (int(cells.max(initial=-1)) + 1)
    searching = bytearray(b"\1") * len(scores)
    for row, cell in zip(rows[order].tolist(), cells[order].tolist(), strict=True):
        if searching[row] and free[cell]:
            found[row] = cell
            searching[row] = free[cell] = 0
    return found
