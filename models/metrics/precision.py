"""Precision along falling scores: average precision, and where a curve must end."""

from __future__ import annotations

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


def average_precision(images: Sequence[ImageCells], iou: float) -> float:
    """Return the area under precision against recall on positive images.

    Without a limit on detections per image, and with precision made falling, as in VOC 2010. It
    means something only where every cell is annotated.
    """
    positive = [one for one in images if one.role is Role.POSITIVE]
    matches = match(positive, iou)
    precision, hits, _ = precision_curve(matches.scores, matches.is_hit)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(hits, prepend=0)
    return float((falling * gained).sum() / max(len(matches.truth.image), 1))


def cut_at_precision(scores: NDArray[np.float64], hit: NDArray[np.bool_], minimum: float) -> float:
    """Return the lowest threshold that still has the given precision; infinite if none has.

    References
    ----------
    DigestPath 2019, and DGHM (Lin et al. 2020): the curve ends at its last point of precision 0.2.
    """
    precision, _, thresholds = precision_curve(scores, hit)
    enough = np.flatnonzero(precision >= minimum)
    return float(thresholds[enough[-1]]) if len(enough) else float("inf")
