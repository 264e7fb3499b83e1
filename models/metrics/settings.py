"""How an evaluation counts."""

from __future__ import annotations

from pydantic import Field

from models.settings import Settings


class EvaluationSettings(Settings):
    """What counts as found, and where the FROC curve is read."""

    iou: float = Field(default=0.3, gt=0, le=1)
    """A detection finds a cell when their boxes overlap at least this much (Li, sec. 3.1: 0.3)."""

    collective: float = Field(default=0.3, gt=0, le=1)
    """Share of a cell's box that all detections together must cover for collective recall. Li says
    "some"; 0.3 is the smallest share that keeps it at or above instance recall at IoU 0.3."""

    fps_points: tuple[float, ...] = Field(default=(1, 2, 4, 8, 16, 32), min_length=1)
    """False positives per image at which recall is read (DigestPath 2019: 1 to 32)."""

    bootstrap: int = Field(default=1000, ge=0)
    """Resamples of the slides for an interval; 0 computes none."""

    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Share of the resamples that lie inside the interval."""

    minimum_precision: float | None = Field(default=None, gt=0, le=1)
    """Cut the curve after its last point of at least this precision on the positive images (the
    DigestPath rule and DGHM: 0.2). None: no cut, because precision against incomplete labels
    counts unmarked cells as errors."""
