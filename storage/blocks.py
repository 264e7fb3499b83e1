"""A slide or region of any size block by block: what a network looks at, one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from models.geometry.tiles import STRIDE_PX, Area, Placement, Window, grid
from storage.slides import ImageSlide
from storage.tissue import TissueMap

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from storage.slides import Slide

CORE_PX = 2048
MARGIN_PX = 128
"""Cells are looked for so far around each core, so that those at its border are seen whole. In
working pixels, twice the diameter of a large cell."""
WIDE_MARGIN_PX = 512
"""The same, where a cell turns out to reach further."""
TOLERANCE_PX = MARGIN_PX // 16
"""How far the centre of a cell may move between two blocks, in working pixels."""


@dataclass(frozen=True, slots=True)
class Block:
    """One part of a slide."""

    window: Window
    """Where cells are looked for."""
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
    return [
        block_around(core, slide, downsample, MARGIN_PX)
        for core in grid(slide.width, slide.height, core_px * downsample)
        if tissue is None or tissue.fraction(core) > 0
    ]


def cores_of(height: int, width: int, core_px: int | None = None) -> list[Window]:
    """Return the cores that cover a region, row by row, in its working pixels.

    They are of about one size: a region hardly larger than a core is one core, not one and slivers.
    What needs no margin, at the border of the region, may be core instead.
    """
    rows, columns = (_cuts(side, core_px or CORE_PX) for side in (height, width))
    return [Window(x0, y0, x1, y1) for y0, y1 in pairwise(rows) for x0, x1 in pairwise(columns)]


def _cuts(length: int, core_px: int) -> list[int]:
    number = max(1, math.ceil((length - 2 * MARGIN_PX) / core_px))
    return [round(length * k / number) for k in range(number + 1)]


def block_around(core: Window, slide: Slide, downsample: float, margin_px: int) -> Block:
    """Return the block of a core with a margin of working pixels, cut at the slide's border."""
    whole = Window(0, 0, slide.width, slide.height)
    return Block(core.grown(math.ceil(margin_px * downsample)).clipped(whole), core)


@dataclass(frozen=True, slots=True)
class BlockPixels:
    """The pixels of one block in memory; implements the `BlockSource` protocol of prediction.

    They begin at a multiple of a network's stride, counted from the slide's corner: what it makes
    of a place then does not depend on the block in which the place lies.
    """

    pixels: NDArray[np.uint8]
    """(h, w, 3) RGB of the block's window and what lies around it, at the working scale."""
    area: Area
    """The block's window, in the pixels."""
    corner: tuple[int, int]
    """Place y, x of the area on the whole slide, in working pixels."""
    placement: Placement
    """Of the area."""

    @classmethod
    def of(cls, slide: Slide, block: Block, downsample: float, around_px: int = 0) -> BlockPixels:
        """Read a block and so many working pixels around it, as far as the slide goes.

        Raises
        ------
        SlideError
            If the slide is damaged there.
        """
        down = _span(block.window.y0, block.window.y1, slide.height, downsample, around_px)
        across = _span(block.window.x0, block.window.x1, slide.width, downsample, around_px)
        y0, x0, y1, x1 = (
            round(place * downsample)
            for place in (down.begin, across.begin, down.stop, across.stop)
        )
        shape = down.stop - down.begin, across.stop - across.begin
        pixels = slide.read(Window(x0, y0, x1, y1), downsample, shape)
        top, left = down.first - down.begin, across.first - across.begin
        return cls(
            pixels[: down.end - down.begin, : across.end - across.begin],
            Area(top, left, down.last - down.first, across.last - across.first),
            (down.first, across.first),
            Placement(x0 + left * downsample, y0 + top * downsample, downsample),
        )

    @property
    def seen(self) -> Window:
        """Return the area on the whole slide, in working pixels."""
        (y0, x0), area = self.corner, self.area
        return Window(x0, y0, x0 + area.width, y0 + area.height)

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width, in working pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def place(self) -> tuple[int, int]:
        """Return y, x of the first pixel on the slide, in working pixels."""
        return self.corner[0] - self.area.y0, self.corner[1] - self.area.x0

    def read(self, y0: int, x0: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return (height, width, 3) RGB of a part inside the pixels."""
        return self.pixels[y0 : y0 + height, x0 : x0 + width]


@dataclass(frozen=True, slots=True)
class _Span:
    """One side of a block, in working pixels."""

    begin: int
    """Of what the network sees; a multiple of the stride."""
    first: int
    """Of the part that is asked for."""
    last: int
    end: int
    stop: int
    """Of what is read: the multiple of the stride at or behind the end, maybe off the slide."""


def _span(low: int, high: int, length: int, downsample: float, around_px: int) -> _Span:
    """Return the span of level-0 pixels low to high on a side of the slide of that length."""
    whole = max(1, round(length / downsample))
    first = min(round(low / downsample), whole - 1)
    last = max(first + 1, min(round(high / downsample), whole))
    begin = max(0, (first - around_px) // STRIDE_PX * STRIDE_PX)
    end = min(whole, last + around_px)
    return _Span(begin, first, last, end, -(-end // STRIDE_PX) * STRIDE_PX)
