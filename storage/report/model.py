"""What a report page shows: plain numbers, names and small pictures, gathered from a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from models.annotations import Polygons

ARMS: Mapping[str, str] = {
    "supervised": "supervised",
    "supervised_longer": "supervised, longer",
    "self": "self-training",
    "self_longer": "self-training, longer",
    "self_extra": "self-training, extra regions",
    "cooperative": "cooperative",
}
"""What people read for each arm, in the order of the method."""

CONTROLS: Mapping[str, str] = {
    "self": "supervised_longer",
    "self_extra": "self_longer",
    "cooperative": "self_longer",
}
"""The arm of equally many optimiser steps on unchanged labels that a gain is held against."""


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One row of ``table.json``."""

    mode: str
    fold: int
    seed: int
    arm: str
    model: str
    truth: str
    """``complete`` or ``partial``."""
    instance_recall: float
    collective_recall: float
    fps: float
    fps_basis: str
    froc: float
    froc_low: float | None
    froc_high: float | None
    candidate_floor: float
    n_steps: int
    label_version: str
    checkpoint: str
    gain_interval: tuple[float, float] | None = None
    """Of FROC over that of the control, by paired resampling of slides; not in ``table.json``."""

    @property
    def group(self) -> tuple[str, int, int, str, str]:
        """Return what rows must share to be compared."""
        return self.mode, self.fold, self.seed, self.model, self.truth


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line of a plot."""

    name: str
    """An arm, or a free text."""
    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrocPlot:
    """The FROC curves of all arms of one network."""

    model: str
    truth: str
    fps_basis: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class TrainingPlot:
    """Loss and validation of one stage of training."""

    stage: str
    """An arm and perhaps a round."""
    model: str
    loss: Curve
    """Against the epoch."""
    validation: Curve | None = None
    """FROC against partial labels of validation regions, against the epoch."""
    best_epoch: float | None = None


@dataclass(frozen=True, slots=True)
class GrowthPlot:
    """How the labels of one network grew."""

    model: str
    quantity: str
    """The unit of the y axis, such as ``cells`` or ``inner pixels``."""
    curves: tuple[Curve, ...]
    """Against the round, one per arm."""


@dataclass(frozen=True, slots=True)
class RoundCard:
    """What one round did to the labels, and what was decided."""

    arm: str
    model: str
    round: int
    n_cells: int
    growth: float
    """Share by which the inner area grew."""
    churn: float
    """Share of labelled pixels that changed."""
    area_per_instance: float
    """Mean area of an instance as a share of the median annotated ellipse."""
    validation: float | None
    """FROC against partial validation labels."""
    decision: str
    """What follows, and why: one sentence."""
    kept: bool
    """Whether this round's network is the one that is evaluated."""
    label_version: str


@dataclass(frozen=True, slots=True)
class CropPanel:
    """The outlines of one moment over a crop, in pixels of the crop."""

    title: str
    annotated: Polygons
    found: Polygons
    """Labels that earlier rounds brought."""
    added: Polygons
    """Labels that are new in this round."""
    hidden: Polygons
    """Cells of the complete truth that nobody told the network of."""


@dataclass(frozen=True, slots=True)
class CropStory:
    """The same piece of tissue, round by round."""

    caption: str
    """Where it lies and of which network the labels are."""
    image: NDArray[np.uint8]
    """(h, w, 3) RGB, a few hundred pixels wide."""
    panels: tuple[CropPanel, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file or record that was not used."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that the page shows."""

    title: str
    command: str
    """The exact command that makes the run again."""
    created: str
    """Date of the run, as text."""
    summary: tuple[str, ...]
    """What came out, one sentence each; a reader may stop here."""
    rows: tuple[ArmRow, ...]
    froc: tuple[FrocPlot, ...] = ()
    training: tuple[TrainingPlot, ...] = ()
    growth: tuple[GrowthPlot, ...] = ()
    rounds: tuple[RoundCard, ...] = ()
    crops: tuple[CropStory, ...] = ()
    refused: tuple[Refusal, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """Dotted name to value."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package or machine to version."""
