"""How a region is cut into windows."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from models.settings import Settings


class WindowSettings(Settings):
    """Windows, their overlap and how many run at once."""

    window_px: int = Field(default=1024, ge=32, multiple_of=32)
    """Side of a window (Li, sec. 3: 1024). A multiple of 32, which encoders divide by."""
    overlap_px: int = Field(default=128, ge=0)
    """How far neighbouring windows overlap; their weights cross over in it."""
    batch: int = Field(default=1, ge=1)
    """Windows that run at once; does not change the result."""

    @model_validator(mode="after")
    def _windows_advance(self) -> Self:
        if self.overlap_px > self.window_px // 2:
            raise ValueError(
                f"overlap_px is {self.overlap_px}: at most half of window_px ({self.window_px}), "
                "so that no more than two windows share a row."
            )
        return self
