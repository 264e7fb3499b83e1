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
    """Of FROC over that of the control, by paired resampling of slides."""
    n_slides: int | None = None
    """Test slides with an annotated cell, over which the intervals were drawn."""

    @property
    def group(self) -> tuple[str, int, int, str, str]:
        """Return what rows must share to be compared."""
        return self.mode, self.fold, self.seed, self.model, self.truth


@dataclass(frozen=True, slots=True)
class Gain:
    """One arm beside its control, all folds and seeds of a mode together."""

    mode: str
    model: str
    truth: str
    arm: str
    control: str
    n_trials: int
    """Folds times seeds."""
    n_slides: int
    """Test slides with an annotated cell, over all trials."""
    froc: float
    control_froc: float
    interval: tuple[float, float] | None
    """Of the difference, by drawing the same slides for both; None where there cannot be one."""
    n_steps: int
    """Of all trials."""
    control_steps: int

    @property
    def difference(self) -> float:
        """FROC over that of the control."""
        return self.froc - self.control_froc


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
class PrecisionPlot:
    """Precision against recall of all arms of one network, where every cell is known."""

    model: str
    curves: tuple[Curve, ...]
    """Recall along x, precision along y."""


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
    ends: tuple[float, ...] = ()
    """The last epoch of each round but the last."""


@dataclass(frozen=True, slots=True)
class RoundsPlot:
    """One quantity of one network, round by round."""

    model: str
    quantity: str
    """The y axis, such as ``cells that nobody drew``."""
    curves: tuple[Curve, ...]
    """Against the round, one per arm."""
    band: tuple[float, float] | None = None
    """Between what the quantity is as it should be."""


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
    validation_low: float | None = None
    validation_high: float | None = None
    fps: float | None = None
    """False positives per normal validation region; None where there is none."""
    disagreement: float | None = None
    """Share of the cells that one of two networks sees and the other does not."""
    trial: str = ""
    alarms: tuple[str, ...] = ()
    """What a person should look at before the labels of this round are used, a sentence each."""


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
class FoundPanel:
    """What one network made of a piece of tissue, in pixels of the crop."""

    title: str
    hit: Polygons
    """Detections that found an annotated cell."""
    missed: Polygons
    """Annotated cells that nothing found."""
    false: Polygons
    """Detections where there is no cell; known only under complete truth and on normal tissue."""
    unmarked: Polygons
    """Detections where nobody marked a cell, which may be right."""


@dataclass(frozen=True, slots=True)
class Example:
    """One of the worst or best pieces of tissue, as several networks see it."""

    caption: str
    """Why it is shown, and where it lies."""
    image: NDArray[np.uint8]
    """(h, w, 3) RGB."""
    panels: tuple[FoundPanel, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """What one arm found in one group of regions."""

    recall: float | None
    """None without an annotated cell."""
    fps: float | None
    """False positives per image; None where they cannot be counted."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One slide, organ or site."""

    name: str
    n_images: int
    n_truth: int
    shares: tuple[Share | None, ...]
    """One per arm; None where an arm was not evaluated there."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The figures of one network taken apart, all trials together."""

    model: str
    mode: str
    truth: str
    by: str
    """``slide``, ``organ`` or ``site``."""
    arms: tuple[str, ...]
    rows: tuple[GroupRow, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file or record that was not used."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """What one step did not take."""

    step: str
    """Such as ``at ingest``."""
    count: int | None
    """None where nobody wrote it down."""
    items: tuple[Refusal, ...] = ()
    """The first of them."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to type to have the run again."""

    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Measures:
    """How the evaluation counted."""

    iou: float = 0.3
    fps_points: tuple[float, ...] = (1, 2, 4, 8, 16, 32)
    confidence: float = 0.95
    bootstrap: int = 1000


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that the page shows."""

    title: str
    created: str
    """When the page was made, as text."""
    rows: tuple[ArmRow, ...]
    gains: tuple[Gain, ...] = ()
    """Each arm that has a control, under each kind of truth."""
    commands: tuple[Command, ...] = ()
    measures: Measures = Measures()
    froc: tuple[FrocPlot, ...] = ()
    precision: tuple[PrecisionPlot, ...] = ()
    breakdowns: tuple[Breakdown, ...] = ()
    examples: tuple[Example, ...] = ()
    rounds: tuple[RoundCard, ...] = ()
    healthy: tuple[float, float] = (0.7, 1.2)
    """Where the area of a cell should lie, relative to an annotated one."""
    curves: tuple[RoundsPlot, ...] = ()
    """Growth, churn and whatever else goes from round to round."""
    training: tuple[TrainingPlot, ...] = ()
    crops: tuple[CropStory, ...] = ()
    dataset: Mapping[str, str] = field(default_factory=dict)
    """What is to be known of the dataset to its value."""
    refused: tuple[Refused, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """Dotted name to value."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package or part of the machine to version."""
