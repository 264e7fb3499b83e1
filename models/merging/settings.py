"""How predictions and a person's cells become the next labels."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from models.settings import Settings


class MergeSettings(Settings):
    """The paper's three steps, and what a person's cells are protected from."""

    threshold: float = Field(default=0.7, gt=0, lt=1)
    """A pixel is foreground where p(edge) + p(inner) is above it.

    Li: 0.7 for self-training, 0.33 (about the argmax of three classes) for cooperative training.
    """
    ignore_above: float | None = Field(default=None, gt=0, lt=1)
    """Pixels between it and `threshold` are neither cell nor background: no loss is taken there.

    Not in the paper; None leaves it out.
    """
    human_inner_kept: float = Field(default=0.5, ge=0.5, le=1)
    """Predicted edge may erase a person's cell down to this part of its inner pixels.

    Not in the paper. A cell that would lose more gets all of its pixels back.
    """
    human_growth: float = Field(default=1.5, ge=1)
    """A person's cell may grow to so many times its ellipse. Not in the paper."""
    minimum_area_px: int = Field(default=12, ge=1)
    """A piece of inner region of fewer working pixels is noise, not a cell. Not in the paper."""
    identity_iou: float = Field(default=0.3, gt=0, le=1)
    """A found cell keeps its id where it overlaps a cell of the version before at least so much."""
    beta: float = Field(default=10.0, ge=0)
    """How strongly the random walker that shares out edge pixels avoids steps in p(inner)."""

    def of_masks(self) -> Self:
        """Return what decides which pixels are cells, and all else as by default.

        A prediction is keyed by it: how cells are merged later is no reason to predict again.
        """
        return type(self)(threshold=self.threshold, ignore_above=self.ignore_above)

    @model_validator(mode="after")
    def _band_below_threshold(self) -> Self:
        if self.ignore_above is not None and self.ignore_above >= self.threshold:
            raise ValueError(
                f"ignore_above {self.ignore_above} must be below threshold {self.threshold}"
            )
        return self
