"""Precision along falling scores: average precision, and where a curve must end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Role
from models.metrics.matching import match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.metrics.matching import ImageCells


def precision_curve(
    scores: NDArray[np.float64], hit: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return precision, hits and threshold at each different score, falling, (k,) each."""
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last = np.flatnonzero(np.diff(falling, append=-np.inf))
    hits = np.cumsum(hit[order], dtype=np.int64)[last]
    return hits / (last + 1), hits, falling[last]


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Precision against recall on positive images, one point per different score."""

    recall: NDArray[np.float64]
    """(k,) rising, share of all cells."""
    precision: NDArray[np.float64]
    """(k,) share of the detections with at least that score that found a cell."""
    scores: NDArray[np.float64]
    """(k,) falling, the threshold of each point."""
    ap: float
    """Area under the curve with precision made falling, as in VOC 2010."""

    def corners(self) -> PrecisionRecall:
        """Return the points at which recall rises, and the last: enough to draw or keep it."""
        kept = np.diff(self.recall, prepend=-1.0) > 0
        kept[-1:] = True
        return PrecisionRecall(self.recall[kept], self.precision[kept], self.scores[kept], self.ap)


def precision_recall(images: Sequence[ImageCells], iou: float) -> PrecisionRecall:
    """Return precision against recall on positive images, without a limit on detections per image.

    Parameters
    ----------
    images : sequence of ImageCells
        Images that are not positive are passed over.
    iou : float
        Boxes match at this overlap or more.

    Raises
    ------
    ValueError
        If a positive image is not completely annotated: cells that nobody marked would count as
        false. Ask `Evaluation.precision` for None first, or choose the complete images.
    """
    positive = [one for one in images if one.role is Role.POSITIVE]
    partial = [one.image_id for one in positive if not one.complete]
    if partial:
        raise ValueError(
            f"precision needs complete truth, but {len(partial)} of {len(positive)} positive "
            f"images are annotated in part, the first is {partial[0]}"
        )
    return _curve(positive, iou)


def average_precision(images: Sequence[ImageCells], iou: float) -> float:
    """Return the area under precision against recall on positive images.

    It means something only where every cell is annotated.
    """
    return _curve([one for one in images if one.role is Role.POSITIVE], iou).ap


def _curve(positive: Sequence[ImageCells], iou: float) -> PrecisionRecall:
    matches = match(positive, iou)
    precision, hits, scores = precision_curve(matches.scores, matches.is_hit)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(hits, prepend=0)
    n_cells = max(len(matches.truth.image), 1)
    area = float((falling * gained).sum() / n_cells)
    return PrecisionRecall(hits / n_cells, precision, scores, area)


def cut_at_precision(scores: NDArray[np.float64], hit: NDArray[np.bool_], minimum: float) -> float:
    """Return the lowest threshold that still has the given precision; infinite if none has.

    References
    ----------
    DigestPath 2019, and DGHM (Lin et al. 2020): the curve ends at its last point of precision 0.2.
    """
    precision, _, thresholds = precision_curve(scores, hit)
    enough = np.flatnonzero(precision >= minimum)
    return float(thresholds[enough[-1]]) if len(enough) else float("inf")
