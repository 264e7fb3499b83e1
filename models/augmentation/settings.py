"""How training crops are varied."""

from __future__ import annotations

from pydantic import Field

from models.settings import Settings


class AugmentationSettings(Settings):
    """Changes drawn anew for each crop; all off leaves the crop as it was read."""

    turn: bool = True
    """Flips and quarter turns, all eight equally likely: a cell has no upper side."""
    stain: float = Field(default=0.1, ge=0, le=0.5)
    """How far each colour's optical density may be scaled, as a fraction: stains differ between
    laboratories. 0 is off. Li: not stated."""
    brightness: float = Field(default=0.04, ge=0, le=0.2)
    """How far each colour's optical density may be shifted. 0 is off. Li: not stated."""
