"""Slides of all formats behind one protocol: read a window at a scale."""

from __future__ import annotations

import contextlib
import math
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol, Self

import cv2
import numpy as np
import tifffile
import tiffslide

from models.errors import SlideError, WrongUseError
from models.geometry.tiles import (
    MAXIMUM_MPP,
    MINIMUM_MPP,
    SAME_SCALE,
    Window,
    choose_level,
    level_window,
    plausible_mpp,
    spans,
    working_size,
)
from storage.images import SUFFIXES, ImageDecoder, decode_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MINIMUM_SIDE_PX = 64
BLOCK_PX = 4096
"""Side of what is decoded at once: 48 MiB."""
WHITE = 255
_RGB = {tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR}
_DECODER_ERRORS = (OSError, RuntimeError, ValueError, LookupError, TypeError, NotImplementedError)
"""What tifffile, imagecodecs and zarr raise on damaged files."""


class Slide(Protocol):
    """An image that may be too large for memory."""

    name: str
    width: int
    """Of level 0."""
    height: int
    mpp: float | None
    """Micrometres per level-0 pixel."""
    level_downsamples: tuple[float, ...]

    def read(
        self, window: Window, downsample: float, shape: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """Return a window of level-0 pixels at a scale, (h, w, 3) RGB; white outside the slide.

        `shape` fixes height and width where rounding must not: for pieces of a larger window.
        """
        ...

    def overview(self, max_side_px: int) -> tuple[NDArray[np.uint8], float]:
        """Return the whole slide within a size, and its downsample."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class _Pyramid(ABC):
    """Levels of one picture; reads take the coarsest that is fine enough and average the rest."""

    def __init__(
        self, path: Path, level_sizes: tuple[tuple[int, int], ...], mpp: float | None
    ) -> None:
        self.path = path
        self.name = path.name
        self.width, self.height = level_sizes[0]
        self.mpp = mpp
        self._level_sizes = level_sizes
        # Both axes: some writers round each of them on its own.
        self.level_downsamples = tuple(
            (self.width / width + self.height / height) / 2 for width, height in level_sizes
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def _pixels(self, level: int, window: Window) -> NDArray[np.uint8]:
        """Return pixels of a level; the window lies inside it."""

    def read(
        self, window: Window, downsample: float, shape: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """Return a window of level-0 pixels at a scale, (h, w, 3) RGB; white outside the slide.

        Parameters
        ----------
        window : Window
            In level-0 pixels; it may reach beyond the slide.
        downsample : float
            Level-0 pixels per pixel of the result, at least 1.
        shape : (int, int), optional
            Height and width of the result; default: those of the window, rounded.

        Raises
        ------
        SlideError
            If the file is damaged there.
        """
        height, width = shape or working_size(window, downsample)
        level = choose_level(self.level_downsamples, downsample)
        source = level_window(window, self.level_downsamples[level])
        step = max(1, math.floor(BLOCK_PX * self.level_downsamples[level] / downsample))
        image = np.empty((height, width, 3), np.uint8)
        for rows, source_rows in spans(height, (source.y0, source.y1), step):
            for columns, source_columns in spans(width, (source.x0, source.x1), step):
                block = Window(
                    source_columns.start, source_rows.start, source_columns.stop, source_rows.stop
                )
                target = image[rows, columns]
                target[:] = _resized(self._padded(level, block), *target.shape[:2])
        return image

    def overview(self, max_side_px: int) -> tuple[NDArray[np.uint8], float]:
        """Return the whole slide, no side longer than that, and its downsample."""
        downsample = max(1.0, max(self.width, self.height) / max_side_px)
        return self.read(Window(0, 0, self.width, self.height), downsample), downsample

    def _padded(self, level: int, window: Window) -> NDArray[np.uint8]:
        level_width, level_height = self._level_sizes[level]
        inside = window.clipped(Window(0, 0, level_width, level_height))
        if inside == window:
            return self._pixels(level, window)
        image = np.full((window.height, window.width, 3), WHITE, np.uint8)
        if inside.width > 0 and inside.height > 0:
            rows = slice(inside.y0 - window.y0, inside.y1 - window.y0)
            columns = slice(inside.x0 - window.x0, inside.x1 - window.x0)
            image[rows, columns] = self._pixels(level, inside)
        return image


class ImageSlide(_Pyramid):
    """A png, jpeg or bmp file: one level, no pixel size of its own."""

    def __init__(self, path: Path, mpp: float | None, decoder: ImageDecoder | None) -> None:
        self._image = decode_image(path) if decoder is None else decoder.decode(path)
        height, width = self._image.shape[:2]
        super().__init__(path, ((width, height),), mpp)

    def close(self) -> None:
        """Let go of the pixels."""
        self._image = np.zeros((0, 0, 3), np.uint8)

    def _pixels(self, level: int, window: Window) -> NDArray[np.uint8]:  # noqa: ARG002  # one level
        return self._image[window.y0 : window.y1, window.x0 : window.x1]


class TiledSlide(_Pyramid):
    """A slide file that tiffslide reads."""

    def __init__(self, path: Path, opened: Any, mpp: float) -> None:  # noqa: ANN401  # untyped
        self._opened = opened
        super().__init__(path, tuple(opened.level_dimensions), mpp)

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def _pixels(self, level: int, window: Window) -> NDArray[np.uint8]:
        location = self._location(level, window.x0), self._location(level, window.y0)
        size = window.width, window.height
        try:
            with _quiet():
                pixels = self._opened.read_region(
                    location, level, size, as_array=True, padding=False
                )
        except _DECODER_ERRORS as error:
            raise SlideError(
                f"{self.path}: level {level} is damaged at x {window.x0}, y {window.y0} "
                f"({type(error).__name__}: {error}). Copy the slide again from the scanner."
            ) from error
        if pixels.shape != (window.height, window.width, 3) or pixels.dtype != np.uint8:
            raise SlideError(
                f"{self.path}: level {level} gave {pixels.dtype} {pixels.shape}, expected uint8 "
                f"{(window.height, window.width, 3)}. The levels contradict the file's header."
            )
        return np.asarray(pixels, np.uint8)

    def _location(self, level: int, at: int) -> int:
        """Return the level-0 pixel that tiffslide turns into this pixel of the level."""
        downsample = float(self._opened.level_downsamples[level])
        location = math.ceil(at * downsample)
        return location if int(location / downsample) == at else location + 1


def open_slide(
    path: Path, mpp: float | None = None, *, decoder: ImageDecoder | None = None
) -> Slide:
    """Return an opened slide or region image.

    Parameters
    ----------
    path : Path
        A slide, or a png, jpeg or bmp file.
    mpp : float, optional
        Micrometres per level-0 pixel, in place of what the file says.
    decoder : ImageDecoder, optional
        Shared by many images; without it each image starts a child of its own.

    Raises
    ------
    SlideError
        If the file is no slide, damaged, not 8-bit RGB, or its pixel size cannot be believed.
    ImageError
        If an image cannot be decoded.
    WrongUseError
        If the given mpp is none of a microscope.
    """
    if mpp is not None and not plausible_mpp(mpp):
        raise WrongUseError(
            f"mpp {mpp:g} is none of a microscope: expected {MINIMUM_MPP:g} to {MAXIMUM_MPP:g} "
            f"micrometres per pixel."
        )
    if path.suffix.lower() in SUFFIXES:
        return ImageSlide(path, mpp, decoder)
    if not path.is_file():
        raise SlideError(f"{path}: there is no such file.")
    try:
        with _quiet():
            opened = tiffslide.TiffSlide(path)
    except (*_DECODER_ERRORS, tifffile.TiffFileError) as error:
        raise SlideError(
            f"{path}: no slide that can be read ({error}). Expected svs, ndpi, scn, bif, tiff, or "
            f"a png, jpeg or bmp image."
        ) from error
    try:
        with _quiet():
            return _checked(path, opened, mpp)
    except (*_DECODER_ERRORS, SlideError) as error:
        opened.close()
        if isinstance(error, SlideError):
            raise
        raise SlideError(
            f"{path}: its header is damaged or of an unknown kind "
            f"({type(error).__name__}: {error})."
        ) from error


def _checked(path: Path, opened: Any, mpp: float | None) -> TiledSlide:  # noqa: ANN401  # untyped
    _require_rgb(path, opened.ts_tifffile.pages.first)  # before tiffslide fails on its axes
    series = opened.ts_tifffile.series[opened.properties["tiffslide.series-index"]]
    for level in series.levels:
        _require_rgb(path, level.keyframe)
    width, height = opened.dimensions
    if min(width, height) < MINIMUM_SIDE_PX:
        raise SlideError(
            f"{path}: the slide is {width} x {height} px, expected at least {MINIMUM_SIDE_PX} a "
            f"side. It holds no tissue to work on; leave it out."
        )
    return TiledSlide(path, opened, mpp if mpp is not None else _mpp_of(path, opened.properties))


def _require_rgb(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse what tiffslide would hand over with wrong colours."""
    remedy = "Convert it to an 8-bit RGB pyramid, for example with vips."
    if page.dtype != np.uint8:
        raise SlideError(f"{path}: pixels are {page.dtype}, expected uint8. {remedy}")
    if page.photometric not in _RGB or page.samplesperpixel != 3:
        name = getattr(page.photometric, "name", page.photometric)
        raise SlideError(
            f"{path}: pixels are {name} with {page.samplesperpixel} channels, expected RGB or "
            f"YCBCR with 3. {remedy}"
        )
    if page.planarconfig != tifffile.PLANARCONFIG.CONTIG:
        raise SlideError(f"{path}: colours are stored in separate planes. {remedy}")


def _mpp_of(path: Path, properties: dict[str, Any]) -> float:
    found = [properties.get(f"tiffslide.mpp-{axis}") for axis in "xy"]
    if not all(isinstance(value, float | int) for value in found):
        raise SlideError(
            f"{path}: the file has no pixel size. Give the micrometres per pixel with --mpp."
        )
    across, down = (float(value) for value in found if value is not None)
    if not plausible_mpp(across) or not plausible_mpp(down):
        raise SlideError(
            f"{path}: the file claims {across:.4g} micrometres per pixel, expected {MINIMUM_MPP:g} "
            f"to {MAXIMUM_MPP:g}; 352.8 is the 72 dpi that programs write when they know nothing. "
            f"Give the true value with --mpp."
        )
    if abs(across / down - 1) > SAME_SCALE:
        raise SlideError(
            f"{path}: pixels are {across:g} micrometres wide and {down:g} high, expected squares. "
            f"Give the true value with --mpp."
        )
    return (across + down) / 2


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence tiffslide 3.0 about vendor metadata that nothing here uses."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*metadata parsing only partially", UserWarning)
        yield


def _resized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
