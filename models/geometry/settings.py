"""At which scale slides are read, and how an annotated cell becomes a mask."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from models.settings import Settings


class TileSettings(Settings):
    """How slides become regions."""

    mpp: float | None = Field(default=None, gt=0.05, le=20)
    """Micrometres per working pixel; images without a pixel size refuse it."""
    downsample: float | None = Field(default=None, ge=1, le=64)
    """Level-0 pixels per working pixel, instead of `mpp`; with neither, 1."""
    region_px: int = Field(default=2048, ge=64, le=8192)
    """Side of the regions that are found in tissue, in working pixels."""
    minimum_tissue: float = Field(default=0.5, ge=0, le=1)
    """A region on the grid needs this fraction of tissue."""

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        if self.mpp is not None and self.downsample is not None:
            raise ValueError("give tiles.mpp or tiles.downsample, not both")
        return self


class EllipseSettings(Settings):
    """How a box becomes an ellipse with an edge (Li, sec. 2.2)."""

    edge_fraction: float = Field(default=0.08, ge=0, lt=0.5)
    """Width of the edge band inside the ellipse, as a fraction of the shorter side of the box.

    Li gives no width: ours.
    """
    minimum_edge_px: float = Field(default=2.0, ge=0)
    """The band is at least this wide, in working pixels."""
