"""The figures of one evaluation, under complete and partial annotation.

On which images recall is read and false positives are counted: `models.metrics.outcome`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.annotations import Role
from models.errors import EmptyDatasetError
from models.metrics.bootstrap import difference_interval, froc_interval
from models.metrics.froc import Evidence, FrocCurve, curve, froc
from models.metrics.outcome import FpsBasis, Outcome, Tally, numbered
from models.metrics.precision import average_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.metrics.bootstrap import Interval
    from models.metrics.matching import ImageCells
    from models.metrics.settings import EvaluationSettings


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a set of detections finds the annotated cells."""

    instance_recall: float
    """Share of the annotated cells that a detection of their own finds."""
    collective_recall: float
    """Share of the annotated cells that all detections together cover enough."""
    fps: float
    """False positives per image of the basis, with every detection that was handed in."""
    fps_basis: FpsBasis
    froc: float
    froc_recalls: dict[float, float]
    """Recall at each number of false positives per image."""
    froc_interval: Interval | None
    """Over slides; None with fewer than two annotated slides."""
    precision: float | None
    """On positive images; None unless all of them are completely annotated."""
    ap_30: float | None
    """Average precision at IoU 0.3 on positive images; None as for precision."""
    ap_50: float | None
    n_truth: int
    """Annotated cells on positive images."""
    n_predictions: int
    """Detections on all images."""
    n_positive_images: int
    n_negative_images: int
    curve: FrocCurve
    evidence: Evidence
    """What the curve was read from, for paired comparisons."""
    slides: tuple[str, ...]
    """Names of the slides, sorted: what `evidence` and `tally` number them by."""
    tally: Tally
    """Counts of each slide."""

    @property
    def nfps_score(self) -> float:
        """DGHM's "NFPs", high is good; Li's is `fps`, low is good."""
        return max(100.0 - self.fps, 0.0)

    def figures(self) -> dict[str, Any]:
        """Return what ``signetflow evaluate --json`` prints."""
        recalls = {f"{point:g}": recall for point, recall in self.froc_recalls.items()}
        names = ("instance_recall", "collective_recall", "fps", "fps_basis", "froc")
        more = ("precision", "nfps_score", "n_truth", "n_predictions")
        images = ("n_positive_images", "n_negative_images")
        return {
            **{name: getattr(self, name) for name in names},
            "froc_recalls": recalls,
            **{name: getattr(self, name) for name in (*more, *images)},
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one set of detections is than another on the same slides."""

    froc: float
    interval: Interval | None


def evaluate(
    images: Sequence[ImageCells], settings: EvaluationSettings, *, seed: int = 0
) -> Evaluation:
    """Return the figures of detections on a set of images.

    Parameters
    ----------
    images : sequence of ImageCells
        With every detection above the candidate floor. Unlabelled images count for nothing but
        `Evaluation.n_predictions`, unless they are complete and no image is negative.
    settings : EvaluationSettings
        Overlaps, operating points and resamples.
    seed : int
        Of the resamples; the same seed draws the same slides.

    Raises
    ------
    EmptyDatasetError
        If no positive image has an annotated cell: recall is then undefined.
    """
    outcome = Outcome.of(images, settings)
    slides, slide = numbered([one.slide for one in images])
    tally = outcome.tally(slide, len(slides))
    n_truth, n_found = int(tally.n_truth.sum()), int(tally.n_found.sum())
    if n_truth == 0:
        raise EmptyDatasetError(
            f"none of the {len(images)} images is positive and has an annotated cell: recall is "
            "undefined. Give at least one image with role positive and its annotations."
        )
    evidence = outcome.evidence(slide, len(slides), settings.minimum_precision)
    score, recalls = froc(evidence, settings.fps_points)
    roles = outcome.roles
    n_tried = int(roles.positive[outcome.matches.predicted.image].sum())
    complete = all(one.complete for one in images if one.role is Role.POSITIVE)
    return Evaluation(
        instance_recall=n_found / n_truth,
        collective_recall=float(tally.n_covered.sum() / n_truth),
        fps=float(tally.n_false.sum() / tally.n_images.sum()),
        fps_basis=roles.kind,
        froc=score,
        froc_recalls=dict(zip(settings.fps_points, recalls.tolist(), strict=True)),
        froc_interval=froc_interval(evidence, settings, seed),
        precision=n_found / n_tried if complete and n_tried else None,
        ap_30=average_precision(images, 0.3) if complete else None,
        ap_50=average_precision(images, 0.5) if complete else None,
        n_truth=n_truth,
        n_predictions=len(outcome.matches.scores),
        n_positive_images=int(roles.positive.sum()),
        n_negative_images=sum(one.role is Role.NEGATIVE for one in images),
        curve=curve(evidence),
        evidence=evidence,
        slides=slides,
        tally=tally,
    )


def difference(
    first: Evaluation, second: Evaluation, settings: EvaluationSettings, *, seed: int = 0
) -> Difference:
    """Return FROC(first) - FROC(second) with its paired interval over slides.

    Raises
    ------
    ValueError
        If the two do not stand on the same slides with the same cells.
    """
    interval = difference_interval(first.evidence, second.evidence, settings, seed)
    return Difference(first.froc - second.froc, interval)
