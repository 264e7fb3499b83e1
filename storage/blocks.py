"""A slide of any size block by block: what a network reads when nobody said where to look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.geometry.tiles import Window, grid, placed
from storage.slides import ImageSlide
from storage.tissue import TissueMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.geometry.tiles import Placement
    from storage.slides import Slide

CORE_PX = 2048
MARGIN_PX = 128
"""Read around each core, so that cells at its border are seen whole. In working pixels."""


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a slide."""

    window: Window
    """What is read."""
    core: Window
    """What the block answers for: cores cover the slide without overlap."""


def blocks_of(slide: Slide, downsample: float, core_px: int = CORE_PX) -> list[Block]:
    """Return the blocks of a slide that hold tissue, or all blocks of a region image.

    Someone chose what a region image shows; of a slide most is glass.

    Parameters
    ----------
    slide, downsample
        The slide, and level-0 pixels per working pixel.
    core_px : int
        Side of a core, in working pixels.

    Raises
    ------
    SlideError
        If the slide is dark: tissue cannot be told from background there.
    """
    tissue = None if isinstance(slide, ImageSlide) else TissueMap(slide)
    whole = Window(0, 0, slide.width, slide.height)
    margin = math.ceil(MARGIN_PX * downsample)
    return [
        Block(core.grown(margin).clipped(whole), core)
        for core in grid(slide.width, slide.height, core_px * downsample)
        if tissue is None or tissue.fraction(core) > 0
    ]


@dataclass(frozen=True, slots=True)
class BlockPixels:
    """The pixels of one block in memory; implements the `BlockSource` protocol of prediction."""

    pixels: NDArray[np.uint8]
    """(h, w, 3) RGB, at the working scale."""
    placement: Placement

    @classmethod
    def of(cls, slide: Slide, block: Block, downsample: float) -> BlockPixels:
        """Read a block.

        Raises
        ------
        SlideError
            If the slide is damaged there.
        """
        pixels = slide.read(block.window, downsample)
        return cls(pixels, placed(block.window, downsample))

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width, in working pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def read(self, y0: int, x0: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return (height, width, 3) RGB of a part inside the block."""
        return self.pixels[y0 : y0 + height, x0 : x0 + width]
