"""The levels of a slide file, tile by tile: each is decoded once and kept for a while."""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tifffile import EXTRASAMPLE

from models.errors import SlideError
from models.geometry.tiles import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import tifffile
    from numpy.typing import NDArray

WHITE = 255
CACHE_BYTES = 128 << 20
"""Of decoded tiles that are kept; the last one is kept whatever its size."""
TILE_BYTES = 256 << 20
"""Of one decoded tile: some scanners store a level as a single one."""
ENCODED_SPARE_BYTES = 1 << 20
"""Of headers and tables in a tile whose pixels need nearly no room."""


class TileCache:
    """The tiles of one slide that were decoded last."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._n_bytes = 0

    def get(
        self, page: int, index: int, decode: Callable[[int], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """Return a tile, decoded now if it is not kept."""
        key = page, index
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        tile = self._kept[key] = decode(index)
        self._n_bytes += tile.nbytes
        while self._n_bytes > CACHE_BYTES and len(self._kept) > 1:
            self._n_bytes -= self._kept.popitem(last=False)[1].nbytes
        return tile


class Page:
    """One picture of a TIFF file, in tiles or strips of 8-bit RGB or RGBA.

    Parameters
    ----------
    page : tifffile.TiffPage
        Checked by the caller to be what is said above.
    cache : TileCache
        Shared by the pages of a file.

    Raises
    ------
    SlideError
        If tiles are missing, lie beyond the end of the file or are too large to be decoded.
    """

    def __init__(self, page: tifffile.TiffPage, cache: TileCache) -> None:
        self._page = page
        self._cache = cache
        self.width, self.height = page.imagewidth, page.imagelength
        tiled = page.is_tiled
        self._tile_width = page.tilewidth if tiled else page.imagewidth
        self._tile_height = page.tilelength if tiled else min(page.rowsperstrip, page.imagelength)
        if min(self.width, self.height, self._tile_width, self._tile_height) < 1:
            raise SlideError("a level has tiles or sides of 0 px.")
        self._n_across = math.ceil(self.width / self._tile_width)
        self._require_tiles(self._n_across * math.ceil(self.height / self._tile_height))

    def _require_tiles(self, wanted: int) -> None:
        page = self._page
        size_bytes = self._tile_width * self._tile_height * page.samplesperpixel
        if size_bytes > TILE_BYTES:
            raise SlideError(
                f"a level of {self.width} x {self.height} px has tiles of {self._tile_width} x "
                f"{self._tile_height} px, at most {TILE_BYTES >> 20} MiB each are decoded. Convert "
                f"it to smaller tiles, for example with vips."
            )
        offsets, counts = page.dataoffsets, page.databytecounts
        if min(len(offsets), len(counts)) < wanted:
            raise SlideError(
                f"a level of {self.width} x {self.height} px lists {min(len(offsets), len(counts))}"
                f" tiles, expected {wanted}. Copy the slide again from the scanner."
            )
        end = max(map(sum, zip(offsets[:wanted], counts[:wanted], strict=True)))
        if end > page.parent.filehandle.size:
            raise SlideError(
                f"it ends after {page.parent.filehandle.size} bytes, but has tiles up to byte {end}"
                f": the copy was cut short. Copy the slide again from the scanner."
            )
        if max(counts[:wanted]) > 2 * size_bytes + ENCODED_SPARE_BYTES:
            raise SlideError(
                f"a tile takes {max(counts[:wanted])} bytes, its pixels only {size_bytes}. The "
                f"file is damaged."
            )

    def read(self, window: Window) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        """Yield the parts of a window that the file holds, with (h, w, 3) RGB.

        Tiles that a scanner left out because nothing was there are not part of it.
        """
        rows = range(window.y0 // self._tile_height, -(-window.y1 // self._tile_height))
        columns = range(window.x0 // self._tile_width, -(-window.x1 // self._tile_width))
        for row, column in itertools.product(rows, columns):
            index = row * self._n_across + column
            if not self._page.dataoffsets[index] or not self._page.databytecounts[index]:
                continue
            x0, y0 = column * self._tile_width, row * self._tile_height
            tile = self._cache.get(id(self), index, self._decoded)
            height, width = tile.shape[:2]
            whole = Window(x0, y0, min(x0 + width, self.width), min(y0 + height, self.height))
            part = window.clipped(whole)
            yield part, tile[part.y0 - y0 : part.y1 - y0, part.x0 - x0 : part.x1 - x0]

    def _decoded(self, index: int) -> NDArray[np.uint8]:
        page = self._page
        file = page.parent.filehandle
        file.seek(page.dataoffsets[index])
        data = file.read(page.databytecounts[index])
        how = {}
        if page.jpegtables is not None or page.jpegheader is not None:
            how = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
        found = page.decode(data, index, **how)[0]
        if found is None or found.ndim != 4 or found.dtype != np.uint8:
            raise SlideError("a tile holds something else than its header says.")
        return _opaque(np.asarray(found[0], np.uint8), page.extrasamples)


def _opaque(tile: NDArray[np.uint8], extra: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return RGB; what is transparent becomes white."""
    if tile.shape[2] == 3:
        return tile
    colours, alpha = tile[..., :3].astype(np.uint16), tile[..., 3:].astype(np.uint16)
    if extra[0] == EXTRASAMPLE.UNASSALPHA:
        colours = (colours * alpha + 127) // 255
    return np.asarray(np.minimum(colours + (WHITE - alpha), WHITE), np.uint8)


@dataclass(frozen=True, slots=True)
class Part:
    """A page and where it lies on its level."""

    page: Page
    x0: int
    y0: int


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a slide: a page, or several that the scanner took beside each other."""

    width: int
    height: int
    parts: tuple[Part, ...]

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return a window inside the level, (h, w, 3) RGB; white where the file holds nothing."""
        image = np.full((window.height, window.width, 3), WHITE, np.uint8)
        for part in self.parts:
            page = part.page
            there = Window(part.x0, part.y0, part.x0 + page.width, part.y0 + page.height)
            seen = window.clipped(there)
            if not seen.width or not seen.height:
                continue
            of_page = _moved(seen, -part.x0, -part.y0)
            for place, pixels in page.read(of_page):
                y0, x0 = place.y0 + part.y0 - window.y0, place.x0 + part.x0 - window.x0
                image[y0 : y0 + pixels.shape[0], x0 : x0 + pixels.shape[1]] = pixels
        return image


def _moved(window: Window, x: int, y: int) -> Window:
    return Window(window.x0 + x, window.y0 + y, window.x1 + x, window.y1 + y)
