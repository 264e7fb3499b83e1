"""FROC: recall against false positives per image, and the score that is its mean.

References
----------
DigestPath 2019 (signet ring cell task): the mean recall at 1, 2, 4, 8, 16 and 32 false positives
per normal region. Where we differ from the only public implementation (ooooverflow/DigestPath2019):
there the threshold is the score of the k-th false positive; here it is the lowest score at which
there are *at most* k per image, detections of equal score stand or fall together, and precision
cuts the curve only when asked for. Both use the final recall beyond the last false positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SMALLEST_BLOCK = 128
MOST_BLOCKS = 1024


@dataclass(frozen=True, slots=True)
class Evidence:
    """What counts for or against a detector: found cells and false positives, surest first."""

    scores: NDArray[np.float64]
    """(e,) falling."""
    slide: NDArray[np.int64]
    """(e,) index of the slide."""
    hit: NDArray[np.bool_]
    """(e,) whether a cell was found; otherwise a false positive."""
    n_truth: NDArray[np.float64]
    """(s,) annotated cells of each slide."""
    n_images: NDArray[np.float64]
    """(s,) images of each slide on which false positives are counted."""


@dataclass(frozen=True, slots=True)
class FrocCurve:
    """One point per different score, from the surest detection on."""

    fps: NDArray[np.float64]
    """(k,) false positives per image, rising."""
    recall: NDArray[np.float64]
    """(k,) share of the annotated cells that are found."""
    score: NDArray[np.float64]
    """(k,) the threshold of the point."""

    def corners(self) -> FrocCurve:
        """Return the points at which recall rises, and the last: enough to draw or keep it."""
        kept = np.diff(self.recall, prepend=-1.0) > 0
        kept[-1:] = True
        return FrocCurve(self.fps[kept], self.recall[kept], self.score[kept])


def curve(evidence: Evidence) -> FrocCurve:
    """Return the whole curve; it begins with the surest detection, not at the origin."""
    last = np.flatnonzero(np.diff(evidence.scores, append=-np.inf))
    hits = np.cumsum(evidence.hit)[last]
    return FrocCurve(
        fps=(last + 1 - hits) / max(evidence.n_images.sum(), 1),
        recall=hits / max(evidence.n_truth.sum(), 1),
        score=evidence.scores[last],
    )


def froc(evidence: Evidence, fps_points: Sequence[float]) -> tuple[float, NDArray[np.float64]]:
    """Return the mean recall at the given false positives per image, and each recall (p,)."""
    recalls = recall_at(evidence, fps_points, np.ones((1, len(evidence.n_truth))))[0]
    return float(recalls.mean()), recalls


def prefixes(evidence: Evidence, fps_points: Sequence[float]) -> NDArray[np.int64]:
    """Return how many of the surest events there are at each allowed number of false positives.

    Parameters
    ----------
    evidence, fps_points
        As for `froc`.

    Returns
    -------
    (p,) int64
        The longest prefix of `evidence` with at most so many false positives per image that splits
        no tie. The final recall counts beyond the last false positive: the prefix is then all.
    """
    false = np.cumsum(~evidence.hit)
    allowed = evidence.n_images.sum() * np.asarray(fps_points, np.float64)
    length: NDArray[np.int64] = _first_of_equals(evidence.scores)[
        np.searchsorted(false, allowed, side="right")
    ]
    return length


def recall_at(
    evidence: Evidence, fps_points: Sequence[float], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return recall at false positives per image, for many weightings of the slides at once.

    Parameters
    ----------
    evidence : Evidence
        Of all slides.
    fps_points : (p,) floats
        False positives per image that are allowed.
    weights : (r, s) float64
        How often each resample holds each slide; ones for the data as they are.

    Returns
    -------
    (r, p) float64
        NaN where a resample holds no annotated cell or no image for false positives.

    Notes
    -----
    A resample repeats slides, so its curve is a weighted count over the one sorted list: nothing is
    matched or sorted again. Counts are kept per slide and block of the list; a matrix product gives
    every resample's counts at the block borders, and only the block in which a curve passes its
    limit is counted event by event. The result is exact.
    """
    # A second BLAS thread gains 8 ms on a quiet machine; on a busy one the two wait for each other,
    # 0.3 s instead of 0.02.
    with threadpool_limits(limits=1, user_api="blas"):
        blocks = _Blocks.of(evidence, weights)
    images = weights @ evidence.n_images
    allowed = images[:, None] * np.asarray(fps_points, np.float64)
    length = blocks.longest_prefix(allowed)
    # Detections of equal score stand or fall together: step back to the first of them.
    hits = blocks.hits_within(_first_of_equals(evidence.scores)[length])
    cells = (weights @ evidence.n_truth)[:, None]
    known = (cells > 0) & (images[:, None] > 0)
    recalls: NDArray[np.float64] = np.full(hits.shape, np.nan)
    np.divide(hits, cells, where=known, out=recalls)
    return recalls


def _first_of_equals(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return, for each length of a prefix, the longest one that splits no tie, (e + 1,)."""
    index = np.arange(len(scores) + 1)
    first = np.ones(len(scores) + 1, np.bool_)
    first[1:-1] = scores[1:] != scores[:-1]
    return np.maximum.accumulate(np.where(first, index, 0))


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Weighted counts over the sorted list: at block borders for all, inside a block on demand."""

    size: int
    weights: NDArray[np.float64]
    """(r, s + 1); the last column weighs the padding: nothing."""
    slide: NDArray[np.int64]
    """(b, size) slide of each event, padded to whole blocks and one more."""
    hit: NDArray[np.bool_]
    false: NDArray[np.bool_]
    hits_before: NDArray[np.float64]
    """(r, b) hits before each block."""
    false_before: NDArray[np.float64]
    n_events: int

    @classmethod
    def of(cls, evidence: Evidence, weights: NDArray[np.float64]) -> _Blocks:
        """Count each slide's events per block, and sum them up for each resample."""
        n_events, n_slides = len(evidence.scores), len(evidence.n_truth)
        size = max(SMALLEST_BLOCK, -(-n_events // MOST_BLOCKS))
        n_blocks = -(-n_events // size) + 1
        padding = n_blocks * size - n_events
        slide = np.pad(evidence.slide, (0, padding), constant_values=n_slides)
        hit = np.pad(evidence.hit, (0, padding))
        false = np.pad(~evidence.hit, (0, padding))
        place = slide * n_blocks + np.arange(n_blocks * size) // size

        def before(which: NDArray[np.bool_]) -> NDArray[np.float64]:
            counts = np.bincount(place[which], minlength=n_slides * n_blocks).astype(np.float64)
            sums = np.cumsum(weights @ counts.reshape(n_slides, n_blocks), axis=1)
            return np.pad(sums[:, :-1], ((0, 0), (1, 0)))

        return cls(
            size, np.pad(weights, ((0, 0), (0, 1))), slide.reshape(-1, size),
            hit.reshape(-1, size), false.reshape(-1, size), before(hit), before(false), n_events,
        )  # fmt: skip

    def longest_prefix(self, allowed: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return how many events can be taken with at most ``allowed`` (r, p) false ones."""
        block = np.stack(
            [(self.false_before <= limit[:, None]).sum(axis=1) - 1 for limit in allowed.T], axis=1
        )
        rows = np.arange(len(block))[:, None]
        weighed = self.weights[rows[:, :, None], self.slide[block]] * self.false[block]
        counts = self.false_before[rows, block][:, :, None] + np.cumsum(weighed, axis=2)
        inside = (counts <= allowed[:, :, None]).sum(axis=2)
        length: NDArray[np.int64] = np.minimum(block * self.size + inside, self.n_events)
        return length

    def hits_within(self, length: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the weighted hits among the first ``length`` (r, p) events."""
        block, rest = np.divmod(length, self.size)
        rows = np.arange(len(block))[:, None]
        counted = self.hit[block] & (np.arange(self.size) < rest[:, :, None])
        weighed = np.where(counted, self.weights[rows[:, :, None], self.slide[block]], 0.0)
        hits: NDArray[np.float64] = self.hits_before[rows, block] + weighed.sum(axis=2)
        return hits
