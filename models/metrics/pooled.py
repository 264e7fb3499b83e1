"""Figures and intervals over several evaluations at once: the folds and seeds of a study.

Each fold was looked at by a network of its own, and scores of different networks mean different
things: every fold is read at its *own* thresholds, with k false positives per image of that fold,
and what was found is then added up over the folds. Slides are the unit of the bootstrap; a slide
that lies in several evaluations (easy folds, several seeds) is drawn for all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.metrics.bootstrap import percentiles, slide_weights, strata_of
from models.metrics.froc import recall_at
from models.metrics.outcome import numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.metrics.bootstrap import Interval
    from models.metrics.detection import Evaluation
    from models.metrics.settings import EvaluationSettings

FIGURES = ("instance_recall", "collective_recall", "fps", "froc")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and how far it is known."""

    value: float
    interval: Interval | None
    """Over slides; None with fewer than two annotated slides, or without resamples."""


def pooled(
    folds: Sequence[Evaluation], settings: EvaluationSettings, *, seed: int = 0
) -> dict[str, Figure]:
    """Return `FIGURES` over all folds together, each with its interval over slides.

    Parameters
    ----------
    folds : sequence of Evaluation
        At least one; of one arm and network, one for each fold (and seed).
    settings : EvaluationSettings
        As the folds were evaluated with.
    seed : int
        Of the resamples; the same seed draws the same slides.

    Notes
    -----
    Recalls are of all annotated cells, false positives per image of all images of the basis. Slides
    are drawn among those that lie in the same folds and are of one kind there (`strata_of`): no
    resample loses a fold. Of one fold this is `Evaluation.froc` and `Evaluation.froc_interval`.
    """
    plan = _Plan.of(folds)
    value, drawn = plan.value(folds, settings), plan.drawn(folds, settings, seed)
    return _with_intervals(value, drawn, settings)


def pooled_difference(
    first: Sequence[Evaluation],
    second: Sequence[Evaluation],
    settings: EvaluationSettings,
    *,
    seed: int = 0,
) -> dict[str, Figure]:
    """Return first - second of `FIGURES`, with paired intervals: the same slides drawn for both.

    Raises
    ------
    ValueError
        If the two do not stand, fold by fold, on the same slides with the same cells.
    """
    _require_same(first, second)
    plan = _Plan.of(first)
    value = plan.value(first, settings) - plan.value(second, settings)
    one, other = (plan.drawn(folds, settings, seed) for folds in (first, second))
    drawn = None if one is None or other is None else one - other
    return _with_intervals(value, drawn, settings)


def _with_intervals(
    value: NDArray[np.float64], drawn: NDArray[np.float64] | None, settings: EvaluationSettings
) -> dict[str, Figure]:
    intervals = [
        None if drawn is None else percentiles(drawn[:, k], settings.confidence)
        for k in range(len(FIGURES))
    ]
    return {
        name: Figure(number, interval)
        for name, number, interval in zip(FIGURES, value.tolist(), intervals, strict=True)
    }


def _require_same(first: Sequence[Evaluation], second: Sequence[Evaluation]) -> None:
    same = len(first) == len(second) and all(
        one.slides == other.slides
        and np.array_equal(one.tally.n_truth, other.tally.n_truth)
        and np.array_equal(one.tally.n_images, other.tally.n_images)
        for one, other in zip(first, second, strict=True)
    )
    if not same:
        raise ValueError(
            "a paired difference needs two lists of evaluations that stand, fold by fold, on the "
            f"same slides with the same cells; got {_summary(first)} and {_summary(second)}"
        )


def _summary(folds: Sequence[Evaluation]) -> str:
    sizes = ", ".join(f"{len(one.slides)} slides with {one.n_truth} cells" for one in folds)
    return f"{len(folds)} folds ({sizes})"


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which slide lies in which fold."""

    strata: NDArray[np.int64]
    """(s,) of each slide of any fold."""
    n_annotated: int
    """Slides with annotated cells."""
    places: tuple[NDArray[np.int64], ...]
    """For each fold, where its slides lie among all of them."""

    @classmethod
    def of(cls, folds: Sequence[Evaluation]) -> _Plan:
        """Return the plan: slides of all folds numbered, those of a kind in one stratum."""
        names = [name for one in folds for name in one.slides]
        slides, place = numbered(names)
        ends = np.cumsum([len(one.slides) for one in folds])[:-1]
        places = tuple(np.split(place, ends))
        kind = np.zeros((len(slides), len(folds)), np.int64)  # 0: not in that fold
        annotated = np.zeros(len(slides), np.bool_)
        for k, (one, here) in enumerate(zip(folds, places, strict=True)):
            kind[here, k] = 1 + strata_of(one.tally.n_truth, one.tally.n_images)
            annotated[here] |= one.tally.n_truth > 0
        strata = np.unique(kind, axis=0, return_inverse=True)[1].reshape(-1)
        return cls(strata.astype(np.int64), int(annotated.sum()), places)

    def value(
        self, folds: Sequence[Evaluation], settings: EvaluationSettings
    ) -> NDArray[np.float64]:
        """Return the figures of the data as they are, (4,)."""
        as_they_are: NDArray[np.float64] = np.ones((1, len(self.strata)))
        value: NDArray[np.float64] = self._figures(folds, settings, as_they_are)[0]
        return value

    def drawn(
        self, folds: Sequence[Evaluation], settings: EvaluationSettings, seed: int
    ) -> NDArray[np.float64] | None:
        """Return the figures of every resample, (r, 4)."""
        if settings.bootstrap == 0 or self.n_annotated < 2:
            return None
        rng = np.random.default_rng(seed)
        weights = slide_weights(self.strata, settings.bootstrap, rng)
        return self._figures(folds, settings, weights)

    def _figures(
        self,
        folds: Sequence[Evaluation],
        settings: EvaluationSettings,
        weights: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        cells, found, covered, false, images = np.zeros((5, len(weights)))
        hits = np.zeros((len(weights), len(settings.fps_points)))
        for one, here in zip(folds, self.places, strict=True):
            drawn, tally = weights[:, here], one.tally
            own = drawn @ tally.n_truth
            cells = cells + own
            found = found + drawn @ tally.n_found
            covered = covered + drawn @ tally.n_covered
            false = false + drawn @ tally.n_false
            images = images + drawn @ tally.n_images
            recalls = recall_at(one.evidence, settings.fps_points, drawn)
            hits += np.where(own[:, None] > 0, recalls * own[:, None], 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            froc = (hits / cells[:, None]).mean(axis=1)
            figures = [found / cells, covered / cells, false / images, froc]
        return np.stack(figures, axis=1)
