"""Slides in tiles and levels, opened in this process: what the decoder's process does.

Everything else opens slides through `storage.slides.open_slide`.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import tifffile
import tiffslide

from models.errors import SlideError
from models.geometry.tiles import (
    MAXIMUM_MPP,
    MINIMUM_MPP,
    SAME_SCALE,
    Window,
    plausible_mpp,
)
from storage.pyramids import Pyramid
from storage.tiff_files import require_slide_page
from storage.tiff_levels import Level, Page, Part, TileCache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MINIMUM_SIDE_PX = 64
DAMAGE = (
    OSError, RuntimeError, ValueError, LookupError, TypeError, ArithmeticError, AttributeError,
    AssertionError, SyntaxError, EOFError, StopIteration, BufferError, struct.error, zlib.error,
    tifffile.TiffFileError,
)  # fmt: skip
"""What tiffslide, tifffile and imagecodecs raise on damaged files; XML errors are SyntaxErrors."""


class TiledSlide(Pyramid):
    """A slide file that tiffslide understands.

    Parameters
    ----------
    path : Path
        The file.
    opened : tiffslide.TiffSlide
        Closed with the slide.
    levels : sequence of Level
        Level 0 and the coarser ones that show the same.
    mpp : float
        Micrometres per pixel of level 0.
    """

    def __init__(self, path: Path, opened: Any, levels: list[Level], mpp: float) -> None:  # noqa: ANN401  # untyped
        self._opened = opened
        self._levels = levels
        super().__init__(path, tuple((one.width, one.height) for one in levels), mpp)

    @property
    def level_sizes(self) -> tuple[tuple[int, int], ...]:
        """Return width and height of each level."""
        return self._level_sizes

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def _pixels(self, level: int, window: Window) -> NDArray[np.uint8]:
        with _reasons(f"level {level} is damaged near x {window.x0}, y {window.y0}"), quiet():
            return self._levels[level].read(window)


def open_tiled(path: Path, mpp: float | None) -> TiledSlide:
    """Return an opened slide file; errors do not name it, the process that asked does.

    Parameters
    ----------
    path : Path
        A TIFF of a scanner, or in levels.
    mpp : float, optional
        Micrometres per level-0 pixel, in place of what the file says.

    Raises
    ------
    SlideError
        If it is damaged, not 8-bit RGB, or its pixel size cannot be believed.
    MemoryError
        If opening it needs more than there is.
    """
    with _reasons("no slide that can be read"), quiet():
        opened = tiffslide.TiffSlide(path)
    try:
        with _reasons("its header is damaged or of an unknown kind"), quiet():
            return _checked(path, opened, mpp)
    except (SlideError, MemoryError):
        opened.close()
        raise


@contextlib.contextmanager
def _reasons(what: str) -> Iterator[None]:
    """Turn what the libraries raise into a `SlideError`."""
    try:
        yield
    except (SlideError, MemoryError):
        raise
    except DAMAGE as error:
        raise SlideError(
            f"{what} ({type(error).__name__}: {error}). Copy it again from the scanner, or convert "
            f"it to a tiled pyramid, for example with vips."
        ) from error


def _checked(path: Path, opened: Any, mpp: float | None) -> TiledSlide:  # noqa: ANN401  # untyped
    file = opened.ts_tifffile
    require_slide_page(file.pages.first)  # before tiffslide fails on its axes
    levels = list(_levels(opened))
    width, height = levels[0].width, levels[0].height
    if min(width, height) < MINIMUM_SIDE_PX:
        raise SlideError(
            f"the slide is {width} x {height} px, expected at least {MINIMUM_SIDE_PX} a side. It "
            f"holds no tissue to work on; leave it out."
        )
    return TiledSlide(path, opened, levels, mpp if mpp is not None else mpp_of(opened.properties))


def _levels(opened: Any) -> Iterator[Level]:  # noqa: ANN401  # untyped
    """Yield level 0 and those of the coarser ones that have its shape."""
    sizes = opened.level_dimensions
    places = _places(opened)
    cache = TileCache()
    for number, (width, height) in enumerate(sizes):
        if number and not _same_shape(sizes[0], (width, height)):
            continue
        parts = []
        for series, offsets in places.items():
            page = opened.ts_tifffile.series[series].levels[number].pages[0].aspage()
            require_slide_page(page)
            parts.append(Part(Page(page, cache), offsets[number][1], offsets[number][0]))
        yield Level(width, height, tuple(parts))


def _places(opened: Any) -> dict[int, list[tuple[int, ...]]]:  # noqa: ANN401  # untyped
    """Return the series that make up the slide, with the y and x of each on every level."""
    properties = opened.properties
    composition = properties.get("tiffslide.series-composition")
    if composition is not None:
        return dict(composition["located_series"])
    return {properties["tiffslide.series-index"]: [(0, 0)] * opened.level_count}


def _same_shape(finest: tuple[int, int], level: tuple[int, int]) -> bool:
    """Return whether some downsample, rounded either way, gives a level's sides."""
    if min(level) < 1:
        return False
    low = max(side / (px + 1) for side, px in zip(finest, level, strict=True))
    high = min(side / max(px - 1, 0.5) for side, px in zip(finest, level, strict=True))
    return max(1, low) <= high


def mpp_of(properties: dict[str, Any]) -> float:
    """Return the micrometres per pixel that a file claims.

    Raises
    ------
    SlideError
        If it claims none, or one that is none of a microscope.
    """
    found = [properties.get(f"tiffslide.mpp-{axis}") for axis in "xy"]
    if not all(isinstance(value, float | int) for value in found):
        raise SlideError("the file has no pixel size. Give the micrometres per pixel with --mpp.")
    across, down = (float(value) for value in found if value is not None)
    if not plausible_mpp(across) or not plausible_mpp(down):
        raise SlideError(
            f"the file claims {across:.4g} micrometres per pixel, expected {MINIMUM_MPP:g} to "
            f"{MAXIMUM_MPP:g}; 352.8 is the 72 dpi that programs write when they know nothing. "
            f"Give the true value with --mpp."
        )
    if abs(across / down - 1) > SAME_SCALE:
        raise SlideError(
            f"pixels are {across:g} micrometres wide and {down:g} high, expected squares. Give the "
            f"true value with --mpp."
        )
    return (across + down) / 2


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence tiffslide 3.0 about vendor metadata that nothing here uses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
