"""How instances are read from a probability map."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.settings import Settings


class InstanceSettings(Settings):
    """Candidates, seeds, the random walker and the score."""

    candidate_floor: float = Field(default=0.15, ge=0, lt=1)
    """Pixels with p(inner) + p(edge) above it are candidates (ours; argmax cuts FROC short)."""
    beta: float = Field(default=10, ge=0)
    """How much a step in p(inner) - p(edge) hinders the walker (scikit-image's default: 130, there
    divided by the deviation of the image, here by a fixed 0.3)."""
    minimum_area_px: int = Field(default=12, ge=1)
    """Seeds of fewer pixels are noise, not cells."""
    score: Literal["mean", "max"] = "mean"
    """Score of an instance: mean or maximum of p(inner) over its pixels (Li gives neither)."""
