"""How a region is cut into windows."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from models.settings import Settings


class WindowSettings(Settings):
    """Windows, their overlap and how many run at once."""

    window_px: int = Field(default=1024, ge=32, multiple_of=32)
    """Side of the largest window (Li, sec. 3: 1024). Windows are smaller where that is enough, and
    grow to twice the overlap where a network needs more overlap than half a window."""
    overlap_px: int = Field(default=0, ge=0)
    """How far neighbouring windows overlap at least. Each network also asks for its own: twice the
    band along a window's border that shows the border (128 for the tiny ones, 384 for `unet`)."""
    batch: int = Field(default=1, ge=1)
    """Windows that run at once; does not change the result."""

    @model_validator(mode="after")
    def _windows_advance(self) -> Self:
        if self.overlap_px > self.window_px // 2:
            raise ValueError(
                f"overlap_px is {self.overlap_px}: at most half of window_px ({self.window_px}), "
                "else more is looked at twice than once."
            )
        return self
