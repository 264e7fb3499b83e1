"""Intervals by resampling slides: cells and regions of one slide are not independent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.metrics.froc import recall_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.metrics.froc import Evidence
    from models.metrics.settings import EvaluationSettings

Interval = tuple[float, float]


def slide_weights(
    strata: NDArray[np.int64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return how often each slide is drawn in each resample, (r, s).

    Slides are drawn with replacement within their stratum (`strata_of`).
    """
    weights = np.zeros((resamples, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn = rng.integers(0, len(members), (resamples, len(members)))
        places = drawn + np.arange(resamples)[:, None] * len(members)
        counts = np.bincount(places.ravel(), minlength=resamples * len(members))
        weights[:, members] = counts.reshape(resamples, len(members))
    return weights


def strata_of(n_truth: NDArray[Any], n_images: NDArray[Any]) -> NDArray[np.int64]:
    """Return which slides may stand for each other, 0 to 3.

    Those with annotated cells, those with images on which false positives are counted, with both
    and with neither: every resample then has as many of each kind as the data.
    """
    return 2 * (n_truth > 0) + (n_images > 0).astype(np.int64)


def froc_interval(evidence: Evidence, settings: EvaluationSettings, seed: int) -> Interval | None:
    """Return the percentile interval of FROC over slides; None with fewer than two slides."""
    drawn = _resampled_froc(evidence, settings, seed)
    return None if drawn is None else percentiles(drawn, settings.confidence)


def difference_interval(
    first: Evidence, second: Evidence, settings: EvaluationSettings, seed: int
) -> Interval | None:
    """Return the interval of FROC(first) - FROC(second), drawing the same slides for both.

    Two detectors of the same slides err together; the paired interval leaves out what they share.

    Raises
    ------
    ValueError
        If the two do not stand on the same slides with the same cells.
    """
    same = np.array_equal(first.n_truth, second.n_truth)
    if not same or not np.array_equal(first.n_images, second.n_images):
        raise ValueError(
            "a paired difference needs two evaluations of the same slides with the same cells; "
            f"got {first.n_truth.sum():.0f} and {second.n_truth.sum():.0f} cells"
        )
    one = _resampled_froc(first, settings, seed)
    other = _resampled_froc(second, settings, seed)
    if one is None or other is None:
        return None
    return percentiles(one - other, settings.confidence)


def _resampled_froc(
    evidence: Evidence, settings: EvaluationSettings, seed: int
) -> NDArray[np.float64] | None:
    if settings.bootstrap == 0 or (evidence.n_truth > 0).sum() < 2:
        return None
    rng = np.random.default_rng(seed)
    strata = strata_of(evidence.n_truth, evidence.n_images)
    weights = slide_weights(strata, settings.bootstrap, rng)
    drawn: NDArray[np.float64] = recall_at(evidence, settings.fps_points, weights).mean(axis=1)
    return drawn


def percentiles(values: NDArray[np.float64], confidence: float) -> Interval | None:
    """Return the central interval of resampled values; None if all of them are undefined."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)
