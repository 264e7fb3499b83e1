"""How a network is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.augmentation.settings import AugmentationSettings
from models.losses.settings import LossSettings
from models.settings import Settings


class TrainingSettings(Settings):
    """One training: which crops, how many steps, how fast."""

    crop_px: int = Field(default=512, ge=32)
    """Side of a training crop, in working pixels (Li: 512)."""
    batch: int = Field(default=16, ge=1)
    """Crops per step (Li: 16)."""
    epochs: int = Field(default=50, ge=1)
    """Passes over the regions (Li: 50, then 10 in each round)."""
    crops_per_region: int = Field(default=8, ge=1)
    """Crops from each region of the largest group and epoch; smaller groups are read more often
    when roles are balanced. Li: not stated."""
    steps_per_epoch: int | None = Field(default=None, ge=1)
    """Steps per epoch, whatever the number of regions; null takes it from `crops_per_region`."""
    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    """Of Adam; the highest one with `one_cycle` (Li: 1e-3)."""
    schedule: Literal["constant", "one_cycle"] = "constant"
    """`one_cycle` rises over the first 30 % of the steps and falls to nothing (Li: constant)."""
    gradient_clip: float | None = Field(default=None, gt=0)
    """Longest gradient over all weights; longer ones are shortened. null is off."""
    balance_roles: bool = True
    """As many crops from negative regions as from the others, by reading regions of the smaller
    group more often (Li, sec. 3.2)."""
    unlabelled: Literal["with_positives", "own_share"] = "with_positives"
    """When roles are balanced, unlabelled regions count to the positive ones or form a third
    group as large as the other two."""
    foreground_fraction: float = Field(default=0.3, ge=0, le=1)
    """Share of crops placed over a labelled cell, in regions that have one. Li: not stated."""
    loss: LossSettings = LossSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    validate_every: int = Field(default=1, ge=0)
    """Epochs from one validation to the next; the last epoch is always validated. 0: never."""
    keep: Literal["best", "last"] = "best"
    """Which weights come out: those of the best validation or those of the last step."""
    save_every_s: float = Field(default=30.0, ge=0, exclude=True)
    """Seconds of work that a kill may cost. Changes no result, so it is left out of every key."""
