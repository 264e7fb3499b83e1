"""What became of every cell and detection of a set of images, and how to count it by anything.

Recall is read on positive images. False positives are counted where they can be known: on negative
images; without any, on completely annotated ones; and only where there is neither, for selection
between models, as unmatched detections on partly annotated images, where an unmarked cell counts
as an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Role
from models.metrics.coverage import covered
from models.metrics.froc import Evidence
from models.metrics.matching import match
from models.metrics.precision import cut_at_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.metrics.matching import ImageCells, Matches
    from models.metrics.settings import EvaluationSettings


class FpsBasis(StrEnum):
    """On which images false positives are counted."""

    NEGATIVE = "negative_images"
    COMPLETE = "complete_images"
    PARTIAL = "unmatched_on_partial"
    """Counts unmarked cells as errors: good to compare models, not to report."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Which image counts for what."""

    positive: NDArray[np.bool_]
    """(k,) images on which recall is read."""
    basis: NDArray[np.bool_]
    """(k,) images on which false positives are counted."""
    kind: FpsBasis

    @classmethod
    def of(cls, images: Sequence[ImageCells]) -> Roles:
        """Sort the images."""
        positive = np.array([one.role is Role.POSITIVE for one in images], np.bool_)
        negative = np.array([one.role is Role.NEGATIVE for one in images], np.bool_)
        complete = np.array([one.complete for one in images], np.bool_)
        if negative.any():
            return cls(positive, negative, FpsBasis.NEGATIVE)
        if complete.any():
            return cls(positive, complete, FpsBasis.COMPLETE)
        return cls(positive, positive, FpsBasis.PARTIAL)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of each unit: a slide, an organ, whatever images are put together by, (u,) each."""

    n_truth: NDArray[np.int64]
    """Annotated cells on positive images."""
    n_found: NDArray[np.int64]
    """Those that a detection of their own finds."""
    n_covered: NDArray[np.int64]
    """Those that all detections together cover enough."""
    n_false: NDArray[np.int64]
    """False positives on images of the basis."""
    n_images: NDArray[np.int64]
    """Images of the basis."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The matched cells and detections of a set of images."""

    roles: Roles
    matches: Matches
    is_covered: NDArray[np.bool_]
    """(n,) whether all detections of its image cover each cell enough."""

    @classmethod
    def of(cls, images: Sequence[ImageCells], settings: EvaluationSettings) -> Outcome:
        """Match the images."""
        matches = match(images, settings.iou)
        together = covered(
            matches.truth, matches.predicted, settings.collective, matches.near.turned()
        )
        return cls(Roles.of(images), matches, together)

    @property
    def counts(self) -> NDArray[np.bool_]:
        """(n,) whether each annotated cell counts for recall."""
        counted: NDArray[np.bool_] = self.roles.positive[self.matches.truth.image]
        return counted

    @property
    def is_found(self) -> NDArray[np.bool_]:
        """(m,) whether each detection found a cell of a positive image."""
        found: NDArray[np.bool_] = (
            self.matches.is_hit & self.roles.positive[self.matches.predicted.image]
        )
        return found

    @property
    def is_false(self) -> NDArray[np.bool_]:
        """(m,) whether each detection is a false positive on an image of the basis."""
        false: NDArray[np.bool_] = (
            ~self.matches.is_hit & self.roles.basis[self.matches.predicted.image]
        )
        return false

    def tally(self, unit: NDArray[np.int64], n_units: int) -> Tally:
        """Return the counts of each unit, given the unit of each image (k,)."""
        cells = unit[self.matches.truth.image]
        found = unit[self.matches.predicted.image]

        def count(units: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.bincount(units, minlength=n_units).astype(np.int64)

        return Tally(
            n_truth=count(cells[self.counts]),
            n_found=count(found[self.is_found]),
            n_covered=count(cells[self.counts & self.is_covered]),
            n_false=count(found[self.is_false]),
            n_images=count(unit[self.roles.basis]),
        )

    def evidence(
        self, unit: NDArray[np.int64], n_units: int, minimum_precision: float | None
    ) -> Evidence:
        """Return found cells and false positives, surest first, with the unit of each.

        With a minimum precision the list ends where precision on positive images was last as high.
        """
        matches, hit = self.matches, self.is_found
        kept = hit | self.is_false
        if minimum_precision is not None:
            looked_at = self.roles.positive[matches.predicted.image]
            floor = cut_at_precision(matches.scores[looked_at], hit[looked_at], minimum_precision)
            kept &= matches.scores >= floor
        order = np.flatnonzero(kept)
        order = order[np.argsort(-matches.scores[order], kind="stable")]
        cells = unit[matches.truth.image[self.counts]]
        return Evidence(
            scores=matches.scores[order],
            slide=unit[matches.predicted.image[order]],
            hit=hit[order],
            n_truth=np.bincount(cells, minlength=n_units).astype(np.float64),
            n_images=np.bincount(unit[self.roles.basis], minlength=n_units).astype(np.float64),
        )


def numbered(names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the different names, sorted, and the place of each name among them (k,)."""
    unique, place = np.unique(np.array(names, np.str_), return_inverse=True)
    return tuple(unique.tolist()), place.astype(np.int64)
