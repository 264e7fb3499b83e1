"""The pixels of regions: which windows a slide has, and their blocks, one shard after the other.

What is here is done by `storage.block_work`: maybe in another process, by a worker that is sent
nothing but paths and numbers and answers with digests. The pixels stay on the disk.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from models.errors import ImageError
from models.geometry.tiles import Window, grid, spans, working_size
from storage.arrays import CHUNK_PX, SHARD_PX
from storage.block_work import require_seen, require_wanted, slide_for
from storage.datasets.protocol import KnownWindow
from storage.slides import ImageSlide
from storage.tissue import TissueMap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from models.annotations import Role
    from models.geometry.settings import TileSettings
    from storage.slides import Slide

BLOCK_PX = SHARD_PX
"""Side of what is read and written at once, in working pixels: 48 MiB. It is a shard, so that no
two workers ever write one file."""
MINIMUM_SIDE_PX = 64
"""Windows of the grid that the slide's border cuts narrower are left out, in working pixels."""


@dataclass(frozen=True, slots=True)
class Source:
    """One slide or image to cut."""

    number: int
    job: str
    """Of the workers."""
    path: Path
    mpp: float | None
    size: tuple[int, int]
    """Width and height that its dataset says."""
    windows: tuple[KnownWindow, ...]
    rest: Role | None
    downsample: float
    """Level-0 pixels per working pixel."""
    tiles: TileSettings
    folder: Path
    """For the arrays, each named after the number of its window."""

    @contextmanager
    def slide(self) -> Iterator[Slide]:
        """Yield the opened slide.

        Raises
        ------
        OperationsError
            If this worker does not see what the others see.
        ImageError
            If it cannot be read, or has another size than its dataset says.
        """
        require_seen(self.path, self.folder)
        with slide_for(self.job, self.path, self.mpp) as slide:
            if (slide.width, slide.height) != self.size:
                raise ImageError(
                    f"{self.path}: {slide.width} x {slide.height} px, but its dataset says "
                    f"{self.size[0]} x {self.size[1]}. Mend the annotation file."
                )
            yield slide


@dataclass(frozen=True, slots=True)
class Block:
    """One shard of one region."""

    number: int
    """Of the region's window."""
    rows: tuple[int, int]
    """Begin and end in the region, in working pixels."""
    columns: tuple[int, int]
    window: Window
    """What is read of the slide, in level-0 pixels."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one worker does at once: one full shard, or several small ones."""

    source: Source
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Begun:
    """What is known of a slide when its tissue was found."""

    windows: tuple[KnownWindow, ...] = ()
    cut: Cut | None = None
    """Of a slide that was small enough to be done at once."""
    error: ImageError | None = None
    """Why the slide is left out."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The blocks of a chunk were written."""

    digests: tuple[str, ...] = ()
    """sha256 of the pixels of each block."""
    error: ImageError | None = None


def begin(source: Source) -> Begun:
    """Find the windows of a slide; cut them as well, where that is work for one worker."""
    try:
        with source.slide() as slide:
            windows = (*source.windows, *_tissue(source, slide))
            chunks = chunks_of(source, windows)
            if len(chunks) > 1 and not isinstance(slide, ImageSlide):
                return Begun(windows)
            for number, one in enumerate(windows):
                new_array(source, number, one.window)
            digests = [digest for chunk in chunks for digest in _written(chunk, slide)]
            return Begun(windows, Cut(tuple(digests)))
    except ImageError as error:
        return Begun(error=error)


def cut(chunk: Chunk) -> Cut:
    """Write the blocks of a chunk into arrays that are there."""
    try:
        with chunk.source.slide() as slide:
            return Cut(tuple(_written(chunk, slide)))
    except ImageError as error:
        return Cut(error=error)


def _tissue(source: Source, slide: Slide) -> Iterator[KnownWindow]:
    """Yield the windows of the grid that hold tissue and that nobody looked at."""
    if source.rest is None:
        return
    tissue = TissueMap(slide)
    side = source.tiles.region_px * source.downsample
    for window in grid(slide.width, slide.height, side):
        taken = any(window.intersects(known.window) for known in source.windows)
        narrow = min(working_size(window, source.downsample)) < MINIMUM_SIDE_PX
        if taken or narrow or tissue.fraction(window) < source.tiles.minimum_tissue:
            continue
        yield KnownWindow(window, source.rest)


def chunks_of(source: Source, windows: Sequence[KnownWindow]) -> list[Chunk]:
    """Return the work on the windows of a slide, none of it larger than one full shard."""
    chunks: list[list[Block]] = []
    free_px = 0
    for number, one in enumerate(windows):
        for block in _blocks(source, number, one.window):
            n_px = (block.rows[1] - block.rows[0]) * (block.columns[1] - block.columns[0])
            if n_px > free_px:
                chunks.append([])
                free_px = BLOCK_PX**2
            chunks[-1].append(block)
            free_px -= n_px
    return [Chunk(source, tuple(blocks)) for blocks in chunks]


def _blocks(source: Source, number: int, window: Window) -> Iterator[Block]:
    height, width = working_size(window, source.downsample)
    for rows, source_rows in spans(height, (window.y0, window.y1), BLOCK_PX):
        for columns, source_columns in spans(width, (window.x0, window.x1), BLOCK_PX):
            part = Window(
                source_columns.start, source_rows.start, source_columns.stop, source_rows.stop
            )
            yield Block(number, (rows.start, rows.stop), (columns.start, columns.stop), part)


def _written(chunk: Chunk, slide: Slide) -> Iterator[str]:
    """Write each block and yield its digest."""
    for block in chunk.blocks:
        require_wanted(chunk.source.job)
        (y0, y1), (x0, x1) = block.rows, block.columns
        pixels = slide.read(block.window, chunk.source.downsample, (y1 - y0, x1 - x0))
        pixels = np.ascontiguousarray(pixels)
        path = array_folder(chunk.source, block.number)
        zarr.open_array(path, mode="r+")[y0:y1, x0:x1] = pixels
        yield hashlib.sha256(pixels.data).hexdigest()


def array_folder(source: Source, number: int) -> Path:
    """Return where the pixels of a window lie until all slides are cut."""
    return source.folder / str(number)


def new_array(source: Source, number: int, window: Window) -> None:
    """Create the empty array of a window."""
    height, width = working_size(window, source.downsample)
    codec: Any = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=1)
    zarr.create_array(
        store=array_folder(source, number),
        shape=(height, width, 3),
        dtype="uint8",
        chunks=(CHUNK_PX, CHUNK_PX, 3),
        shards=(BLOCK_PX, BLOCK_PX, 3),
        compressors=[codec, Crc32cCodec()],
        fill_value=0,
    )


def region_digest(digests: Sequence[str]) -> str:
    """Return the digest of a region's pixels: that of its only block, or of all their digests."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()
