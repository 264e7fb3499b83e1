"""From where on a difference between two label versions counts as one."""

from __future__ import annotations

from pydantic import Field

from models.settings import Settings


class DiffSettings(Settings):
    """What counts as moved, resized and re-scored, and which cells without a common id are one."""

    moved_px: float = Field(default=1.0, ge=0)
    """A cell moved if the centre of its box did by more than so many working pixels."""
    resized: float = Field(default=0.1, ge=0)
    """A cell was resized if its area changed by more than this fraction."""
    rescored: float = Field(default=0.05, ge=0)
    """A cell was re-scored if its score changed by more."""
    same_place_iou: float = Field(default=0.3, gt=0, le=1)
    """Cells without a common id are one where their boxes overlap at least so much.

    A cell that kept its id and overlaps itself less has drifted.
    """
    part_share: float = Field(default=0.5, gt=0, le=1)
    """Of the smaller box, which a cell shares with the one that it split from or merged into."""
