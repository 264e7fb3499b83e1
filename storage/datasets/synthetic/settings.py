"""How many slides are made up, and how."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from models.settings import Settings

MADE_UP = {"source": "made up by signetflow"}
"""An attribute of every made-up slide, so that nobody takes its numbers for those of tissue."""


class SyntheticSettings(Settings):
    """A made-up dataset; the same settings give the same bytes."""

    seed: int = Field(default=0, ge=0)
    organs: int = Field(default=36, ge=1, le=99)
    """Organs differ in stain, tissue and cells; three folds need at least three."""
    positive_slides: int = Field(default=1, ge=0, le=99)
    """Slides with target cells, per organ."""
    negative_slides: int = Field(default=1, ge=0, le=99)
    """Slides without, per organ."""
    positive_windows: int = Field(default=1, ge=0, le=9)
    """Annotated sections of each slide with target cells."""
    unlabelled_windows: int = Field(default=1, ge=0, le=9)
    """Sections of each such slide that nobody annotated."""
    negative_windows: int = Field(default=3, ge=1, le=9)
    """Sections of each slide without target cells."""
    window_px: int = Field(default=1024, ge=256, le=4096, multiple_of=256)
    """Side of a section, in level-0 pixels; sections lie on a grid of this step."""
    annotation_rate: float = Field(default=0.3, gt=0, le=1)
    """The fraction of target cells that the annotator marks in an annotated section."""

    @classmethod
    def small(cls, seed: int = 0) -> Self:
        """Return the dataset of the demo: 72 slides of 36 organs, with 180 sections."""
        return cls(seed=seed)

    @classmethod
    def study(cls, seed: int = 0) -> Self:
        """Return one with two annotated sections a slide, as Li's has on average three to four.

        Easy folds can then part the sections of a slide. It has as many sections as `small`.
        """
        return cls(seed=seed, positive_windows=2, negative_windows=2)

    @classmethod
    def tiny(cls, seed: int = 0) -> Self:
        """Return one for tests and drills: 12 slides with 18 small sections."""
        return cls(
            seed=seed,
            organs=6,
            positive_slides=1,
            negative_windows=1,
            window_px=512,
        )
