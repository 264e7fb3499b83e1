"""What a study shows: every arm over all folds, beside its control and beside the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage.report.model import Gain

MEASURES: Mapping[str, str] = {
    "collective_recall": "collective recall",
    "instance_recall": "instance recall",
    "fps": "normal-region false positives",
    "froc": "FROC",
}
"""What table 1 of Li et al. 2019 has, in its order."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """What a paper says of one arm."""

    mode: str
    arm: str
    collective_recall: float
    instance_recall: float
    fps: float
    froc: float


@dataclass(frozen=True, slots=True)
class Paper:
    """A published table and what to know before anything is laid beside it."""

    study: str
    """Name of the study on the command line."""
    title: str
    citation: str
    arms: tuple[tuple[str, str], ...]
    """What the paper calls our arms."""
    rows: tuple[PublishedRow, ...]
    networks: str
    """What the published numbers are of."""
    data: tuple[tuple[str, str], ...]
    """What the paper's dataset was, by the keys of `Comparison.data`."""
    differences: tuple[str, ...]
    """Where our table differs on any dataset, a sentence each."""

    def name_of(self, arm: str) -> str:
        """Return what the paper calls an arm; empty for ours."""
        return dict(self.arms).get(arm, "")

    def row(self, mode: str, arm: str) -> PublishedRow | None:
        """Return what the paper says of an arm."""
        return next((one for one in self.rows if (one.mode, one.arm) == (mode, arm)), None)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval over slides."""

    value: float
    low: float | None
    high: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Return the two ends; None where there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Beside:
    """An arm less another one, on the same slides."""

    gain: Gain
    """In FROC."""
    figures: Mapping[str, Estimate]
    """The difference in each of `MEASURES`."""


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One arm of one network in one mode: all folds and seeds together."""

    mode: str
    truth: str
    """``partial``, as most papers count, or ``complete``."""
    model: str
    arm: str
    figures: Mapping[str, Estimate]
    """By `MEASURES`."""
    fps_basis: str
    n_trials: int
    n_slides: int
    """Test slides with annotated cells."""
    n_steps: int
    """Of all trials."""
    over_first: Beside | None
    """Over `supervised`: what the paper compares with."""
    over_control: Beside | None
    """Over the arm of as many steps on unchanged labels; None for arms that have none."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a study shows."""

    paper: Paper
    rows: tuple[ComparedRow, ...]
    data: Mapping[str, str]
    """What this dataset is, beside `Paper.data`."""
    made_up: bool
    """Whether the slides are synthetic."""
    n_seeds: int
    confidence: float
    bootstrap: int
    created: str
    """When the page was made, as text."""
    command: str
    """What to type to have the study again."""
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    left_out: tuple[str, ...]
    """Arms of the paper that this dataset cannot have, a sentence each."""
