"""The figures of one evaluation, under complete and partial annotation.

Recall is read on positive images. False positives are counted where they can be known: on negative
images; without any, on completely annotated ones; and only where there is neither, for selection
between models, as unmatched detections on partly annotated images, where an unmarked cell counts
as an error. `Evaluation.fps_basis` says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Role
from models.errors import EmptyDatasetError
from models.metrics.bootstrap import difference_interval, froc_interval
from models.metrics.coverage import covered
from models.metrics.froc import Evidence, FrocCurve, curve, froc
from models.metrics.matching import match
from models.metrics.precision import average_precision, cut_at_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.metrics.bootstrap import Interval
    from models.metrics.matching import ImageCells, Matches
    from models.metrics.settings import EvaluationSettings


class FpsBasis(StrEnum):
    """On which images false positives are counted."""

    NEGATIVE = "negative_images"
    COMPLETE = "complete_images"
    PARTIAL = "unmatched_on_partial"
    """Counts unmarked cells as errors: good to compare models, not to report."""


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
    matches = match(images, settings.iou)
    groups = _Groups.of(images)
    on_positive = groups.positive[matches.predicted.image]
    truth = groups.positive[matches.truth.image]
    if not truth.any():
        raise EmptyDatasetError(
            f"none of the {len(images)} images is positive and has an annotated cell: recall is "
            "undefined. Give at least one image with role positive and its annotations."
        )
    hits = int((matches.is_hit & on_positive).sum())
    together = covered(matches.truth, matches.predicted, settings.collective)
    false = ~matches.is_hit & groups.basis[matches.predicted.image]
    evidence = _evidence(matches, groups, settings.minimum_precision)
    score, recalls = froc(evidence, settings.fps_points)
    complete = all(one.complete for one in images if one.role is Role.POSITIVE)
    return Evaluation(
        instance_recall=hits / int(truth.sum()),
        collective_recall=float(together[truth].mean()),
        fps=float(false.sum() / groups.basis.sum()),
        fps_basis=groups.kind,
        froc=score,
        froc_recalls=dict(zip(settings.fps_points, recalls.tolist(), strict=True)),
        froc_interval=froc_interval(evidence, settings, seed),
        precision=hits / int(on_positive.sum()) if complete and on_positive.any() else None,
        ap_30=average_precision(images, 0.3) if complete else None,
        ap_50=average_precision(images, 0.5) if complete else None,
        n_truth=int(truth.sum()),
        n_predictions=len(matches.scores),
        n_positive_images=int(groups.positive.sum()),
        n_negative_images=sum(one.role is Role.NEGATIVE for one in images),
        curve=curve(evidence),
        evidence=evidence,
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


@dataclass(frozen=True, slots=True)
class _Groups:
    """Which image counts for what."""

    positive: NDArray[np.bool_]
    """(k,) images on which recall is read."""
    basis: NDArray[np.bool_]
    """(k,) images on which false positives are counted."""
    kind: FpsBasis
    slide: NDArray[np.int64]
    """(k,) index of each image's slide, by sorted name."""

    @classmethod
    def of(cls, images: Sequence[ImageCells]) -> _Groups:
        """Sort the images into groups."""
        positive = np.array([one.role is Role.POSITIVE for one in images], np.bool_)
        negative = np.array([one.role is Role.NEGATIVE for one in images], np.bool_)
        complete = np.array([one.complete for one in images], np.bool_)
        slide = np.unique(np.array([one.slide for one in images], np.str_), return_inverse=True)[1]
        if negative.any():
            return cls(positive, negative, FpsBasis.NEGATIVE, slide)
        if complete.any():
            return cls(positive, complete, FpsBasis.COMPLETE, slide)
        return cls(positive, positive, FpsBasis.PARTIAL, slide)


def _evidence(matches: Matches, groups: _Groups, minimum_precision: float | None) -> Evidence:
    image = matches.predicted.image
    on_positive = groups.positive[image]
    hit = matches.is_hit & on_positive
    kept = hit | (~matches.is_hit & groups.basis[image])
    if minimum_precision is not None:
        floor = cut_at_precision(matches.scores[on_positive], hit[on_positive], minimum_precision)
        kept &= matches.scores >= floor
    order = np.flatnonzero(kept)
    order = order[np.argsort(-matches.scores[order], kind="stable")]
    n_slides = int(groups.slide.max()) + 1
    cells = groups.slide[matches.truth.image[groups.positive[matches.truth.image]]]
    return Evidence(
        scores=matches.scores[order],
        slide=groups.slide[image[order]],
        hit=hit[order],
        n_truth=np.bincount(cells, minlength=n_slides).astype(np.float64),
        n_images=np.bincount(groups.slide[groups.basis], minlength=n_slides).astype(np.float64),
    )
