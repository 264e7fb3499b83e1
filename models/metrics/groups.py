"""The figures of one evaluation taken apart: by slide, by organ, by whatever images belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Role
from models.metrics.froc import prefixes
from models.metrics.outcome import Outcome, numbered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.metrics.matching import ImageCells
    from models.metrics.settings import EvaluationSettings


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """What one group of images adds to the whole."""

    n_images: int
    n_positive_images: int
    n_negative_images: int
    n_truth: int
    """Annotated cells on positive images."""
    n_predictions: int
    """Detections on all images of the group."""
    instance_recall: float | None
    """None without an annotated cell."""
    collective_recall: float | None
    fps: float | None
    """False positives per image of the basis of the whole set; None if the group holds none."""
    froc: float | None
    """Mean of `froc_recalls`; None without an annotated cell."""
    froc_recalls: dict[float, float]
    """Recall in the group at the scores at which the *whole* set has so many false positives per
    image: most groups hold no negative image, and one detector runs at one threshold everywhere.
    Weighted by cells, the groups' recalls add up to those of the whole."""


def by_group(
    images: Sequence[ImageCells], group_of: Mapping[str, str], settings: EvaluationSettings
) -> dict[str, GroupFigures]:
    """Return the figures of each group, by its name in sorted order.

    Parameters
    ----------
    images : sequence of ImageCells
        All that were evaluated together; basis and thresholds are those of the whole set.
    group_of : mapping
        Name of the group of each `ImageCells.image_id`, for example its slide or organ.
    settings : EvaluationSettings
        As for `models.metrics.detection.evaluate`.

    Raises
    ------
    KeyError
        If an image has no group.
    """
    names, group = numbered([group_of[one.image_id] for one in images])
    outcome = Outcome.of(images, settings)
    recalls = _recalls(outcome, group, len(names), settings)
    tally = outcome.tally(group, len(names))
    n_predictions = np.bincount(group[outcome.matches.predicted.image], minlength=len(names))
    figures = {}
    for k, name in enumerate(names):
        roles = [one.role for one, of in zip(images, group.tolist(), strict=True) if of == k]
        n_truth = int(tally.n_truth[k])
        at_points = dict(zip(settings.fps_points, recalls[:, k].tolist(), strict=True))
        figures[name] = GroupFigures(
            n_images=len(roles),
            n_positive_images=roles.count(Role.POSITIVE),
            n_negative_images=roles.count(Role.NEGATIVE),
            n_truth=n_truth,
            n_predictions=int(n_predictions[k]),
            instance_recall=_share(tally.n_found[k], n_truth),
            collective_recall=_share(tally.n_covered[k], n_truth),
            fps=_share(tally.n_false[k], int(tally.n_images[k])),
            froc=float(recalls[:, k].mean()) if n_truth else None,
            froc_recalls=at_points if n_truth else {},
        )
    return figures


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def _recalls(
    outcome: Outcome, group: NDArray[np.int64], n_groups: int, settings: EvaluationSettings
) -> NDArray[np.float64]:
    """Return recall at each operating point of the whole in each group, (p, g)."""
    evidence = outcome.evidence(group, n_groups, settings.minimum_precision)
    found = [
        np.bincount(evidence.slide[:length][evidence.hit[:length]], minlength=n_groups)
        for length in prefixes(evidence, settings.fps_points).tolist()
    ]
    recalls: NDArray[np.float64] = np.stack(found) / np.maximum(evidence.n_truth, 1)
    return recalls
