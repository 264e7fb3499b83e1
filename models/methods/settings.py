"""Settings of the rounds of Li et al. 2019: when to relabel, when to stop, what to keep."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from models.settings import Settings


class StopSettings(Settings):
    """When labels have stopped to grow (Li, sec. 2.3), and what counts as going wrong."""

    minimum_growth: float = Field(default=0.01, ge=0, lt=1)
    """A round whose pseudo-labelled inner area grows by less ends the rounds."""
    minimum_churn: float = Field(default=0.02, ge=0, lt=1)
    """A round that changes a smaller share of the foreground ends the rounds."""
    smallest_cell: float = Field(default=0.7, gt=0, lt=1)
    """From round 2 on: a median pseudo cell below this share of the annotated one is collapse."""
    largest_cell: float = Field(default=1.2, gt=1)
    """From round 2 on: a median pseudo cell above this share of the annotated one is swelling."""
    rollback_margin: float = Field(default=0.05, ge=0, le=1)
    """A round is rolled back when its validation FROC is more than this below the best. Ours."""

    def of_labels(self) -> Self:
        """Return what is asked of labels alone, and all else as by default."""
        without = self.model_dump(exclude={"rollback_margin"})
        return type(self)(**without)


class AlarmSettings(Settings):
    """When rounds look like a network that confirms its own mistakes. Ours; the paper has none.

    Li, table 1, would raise it where it should: easy mode from ST (2.29 false positives, recall
    .673) to ST-Ex (5.22, .638).
    """

    fps_rise: float = Field(default=0.5, ge=0)
    """False positives per normal region that one round must add at least."""
    fps_factor: float = Field(default=1.5, ge=1)
    """And by which factor they must rise."""
    recall_gain: float = Field(default=0.02, ge=0, le=1)
    """A recall that rises by less has stalled."""


class PromotionSettings(Settings):
    """What the network of a production run must show to follow the champion. Ours."""

    minimum_gain: float = Field(default=0.0, ge=0, le=1)
    """The whole interval of its gain in validation FROC must be above this."""


class SelfTrainingSettings(Settings):
    """Self-training: a network corrects its own labels (Li, sec. 2.3)."""

    rounds: int = Field(default=5, ge=1, le=20)
    """At most (Li, sec. 3.2: stopped at round 5)."""
    threshold: float = Field(default=0.7, gt=0, lt=1)
    """p(inner) + p(edge) above which a pixel is a cell (Li, sec. 3.2: 0.7)."""
    epochs: int = Field(default=10, ge=1)
    """Per round (Li, sec. 3.2: 10)."""
    stop: StopSettings = StopSettings()


class CooperativeSettings(Settings):
    """Cooperative training: two networks label unannotated tissue for each other (sec. 2.4)."""

    rounds: int = Field(default=2, ge=1, le=20)
    """At most (Li, sec. 3.2: stopped at round 2)."""
    threshold: float = Field(default=0.33, gt=0, lt=1)
    """p(inner) + p(edge) above which a pixel is a cell (Li, sec. 3.2: 0.33)."""
    first_epochs: int = Field(default=50, ge=0)
    """On the labels of self-training, before the first exchange (Li, sec. 3.2: 50)."""
    epochs: int = Field(default=10, ge=1)
    """Per round (Li, sec. 3.2: 10)."""
    stop: StopSettings = StopSettings(minimum_growth=0.01, minimum_churn=0.02)
