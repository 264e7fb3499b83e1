"""The reading half of cutting slides into regions: which windows there are, and their pixels."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from models.errors import ImageError
from models.geometry.tiles import Window, grid, spans, working_size
from storage.datasets.protocol import KnownWindow
from storage.slides import open_slide
from storage.tissue import TissueMap

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from models.geometry.settings import TileSettings
    from storage.datasets.registered import Catalogue, CatalogueItem
    from storage.images import ImageDecoder
    from storage.slides import Slide

BLOCK_PX = 4096
"""Side of what is read and written at once, in working pixels: 48 MiB."""
MINIMUM_SIDE_PX = 64
"""Windows of the grid that the slide's border cuts narrower are left out, in working pixels."""
WAITING_BLOCKS = 2

Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Started:
    """The blocks of a window follow."""

    height: int
    """In working pixels."""
    width: int


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a region, in working pixels of it."""

    y0: int
    x0: int
    pixels: NDArray[np.uint8]
    """(h, w, 3) RGB."""


@dataclass(frozen=True, slots=True)
class Whole:
    """All blocks of a window were read."""

    source: Source
    one: KnownWindow
    digest: str
    """sha256 of the pixels, block by block."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing more comes of an item."""

    item: CatalogueItem
    error: ImageError | None
    """Why the item is left out."""


@dataclass(frozen=True, slots=True)
class Source:
    """One slide or image to cut."""

    catalogue: Catalogue
    item: CatalogueItem
    downsample: float
    """Level-0 pixels per working pixel."""
    settings: TileSettings

    def read(self, decoder: ImageDecoder) -> Iterator[Started | Block | Whole | Finished]:
        """Yield the beginning, the blocks and the end of each window; last that no more come.

        Raises
        ------
        IntegrityError
            If the file was changed since it was registered.
        """
        path = self.catalogue.file(self.item.name)
        try:
            with open_slide(path, self.item.mpp, decoder=decoder) as slide:
                self._require_size(path, slide)
                for one in [*self.item.windows, *self._tissue(slide)]:
                    yield from self._blocks(slide, one)
        except ImageError as error:
            yield Finished(self.item, error)
        else:
            yield Finished(self.item, None)

    def _require_size(self, path: Path, slide: Slide) -> None:
        if (slide.width, slide.height) != (self.item.width, self.item.height):
            raise ImageError(
                f"{path}: {slide.width} x {slide.height} px, but its dataset says "
                f"{self.item.width} x {self.item.height}. Mend the annotation file."
            )

    def _tissue(self, slide: Slide) -> Iterator[KnownWindow]:
        """Yield the windows of the grid that hold tissue and that nobody looked at."""
        if self.item.rest is None:
            return
        tissue = TissueMap(slide)
        side = self.settings.region_px * self.downsample
        for window in grid(slide.width, slide.height, side):
            taken = any(window.intersects(known.window) for known in self.item.windows)
            narrow = min(working_size(window, self.downsample)) < MINIMUM_SIDE_PX
            if taken or narrow or tissue.fraction(window) < self.settings.minimum_tissue:
                continue
            yield KnownWindow(window, self.item.rest)

    def _blocks(self, slide: Slide, one: KnownWindow) -> Iterator[Started | Block | Whole]:
        window, digest = one.window, hashlib.sha256()
        height, width = working_size(window, self.downsample)
        yield Started(height, width)
        for rows, source_rows in spans(height, (window.y0, window.y1), BLOCK_PX):
            for columns, source_columns in spans(width, (window.x0, window.x1), BLOCK_PX):
                part = Window(
                    source_columns.start, source_rows.start, source_columns.stop, source_rows.stop
                )
                shape = rows.stop - rows.start, columns.stop - columns.start
                pixels = np.ascontiguousarray(slide.read(part, self.downsample, shape))
                digest.update(pixels.data)
                yield Block(rows.start, columns.start, pixels)
        yield Whole(self, one, digest.hexdigest())


def read_ahead(things: Iterable[Thing], stop: Callable[[], None]) -> Generator[Thing, None, None]:
    """Yield what an iterable yields, which goes on in a thread while the caller works.

    Parameters
    ----------
    things : iterable
        What it raises is raised here, in its place.
    stop : callable
        Called at the end, also when the caller gives up: lets what is under way end at once.
    """
    iterator, end = iter(things), object()
    thread = ThreadPoolExecutor(1)
    waiting = deque(thread.submit(next, iterator, end) for _ in range(WAITING_BLOCKS))
    try:
        while (thing := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(next, iterator, end))
            yield cast("Thing", thing)
    finally:
        thread.shutdown(wait=False, cancel_futures=True)
        stop()
        thread.shutdown(wait=True)
