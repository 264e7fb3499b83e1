"""Slides of all formats behind one protocol: read a window at a scale.

No pixel is decoded in this process, but by the child of an `ImageDecoder`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from models.errors import WrongUseError
from models.geometry.tiles import (
    MAXIMUM_MPP,
    MINIMUM_MPP,
    Window,
    choose_level,
    plausible_mpp,
    working_size,
)
from storage.images import Asked, ImageDecoder
from storage.pyramids import Pyramid

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from storage.images import Measured


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


class ImageSlide(Pyramid):
    """An image that is kept whole: one level."""

    def __init__(self, path: Path, image: NDArray[np.uint8], mpp: float | None) -> None:
        self._image = image
        height, width = image.shape[:2]
        super().__init__(path, ((width, height),), mpp)

    def close(self) -> None:
        """Let go of the pixels."""
        self._image = np.zeros((0, 0, 3), np.uint8)

    def _pixels(self, level: int, window: Window) -> NDArray[np.uint8]:  # noqa: ARG002  # one level
        return self._image[window.y0 : window.y1, window.x0 : window.x1]


class SlideFile:
    """A file in levels; each window is read by the child."""

    def __init__(
        self, path: Path, found: Measured, decoder: ImageDecoder, *, owned: bool = False
    ) -> None:
        self.path = path
        self.name = path.name
        self.width, self.height, self.mpp = found.width, found.height, found.mpp
        self.level_downsamples = tuple(
            (found.width / width + found.height / height) / 2 for width, height in found.level_sizes
        )
        self._decoder = decoder
        self._owned = owned

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child, if no other slide uses it."""
        if self._owned:
            self._decoder.close()

    def read(
        self, window: Window, downsample: float, shape: tuple[int, int] | None = None
    ) -> NDArray[np.uint8]:
        """Return a window of level-0 pixels at a scale, as `Pyramid.read`.

        Raises
        ------
        SlideError
            If the file is damaged there.
        """
        level = choose_level(self.level_downsamples, downsample)
        decoded = window.clipped(Window(0, 0, self.width, self.height))
        n_px = round(decoded.width * decoded.height / self.level_downsamples[level] ** 2)
        asked = Asked(window, downsample, shape or working_size(window, downsample), self.mpp, n_px)
        return self._decoder.window(self.path, asked)

    def overview(self, max_side_px: int) -> tuple[NDArray[np.uint8], float]:
        """Return the whole slide, no side longer than that, and its downsample."""
        downsample = max(1.0, max(self.width, self.height) / max_side_px)
        return self.read(Window(0, 0, self.width, self.height), downsample), downsample


def require_plausible(mpp: float | None) -> None:
    """Refuse a pixel size that a person gave and that no microscope has.

    Raises
    ------
    WrongUseError
        If it is such a one.
    """
    if mpp is not None and not plausible_mpp(mpp):
        raise WrongUseError(
            f"mpp {mpp:g} is none of a microscope: expected {MINIMUM_MPP:g} to {MAXIMUM_MPP:g} "
            f"micrometres per pixel."
        )


def open_slide(
    path: Path, mpp: float | None = None, *, decoder: ImageDecoder | None = None
) -> ImageSlide | SlideFile:
    """Return an opened slide or region image.

    Parameters
    ----------
    path : Path
        A slide, or a png, jpeg, bmp or flat tiff file.
    mpp : float, optional
        Micrometres per level-0 pixel, in place of what the file says.
    decoder : ImageDecoder, optional
        Shared by many files; without it each starts a child of its own. A slide needs it until it
        is closed.

    Raises
    ------
    SlideError
        If the file is no slide, damaged, not 8-bit RGB, or its pixel size cannot be believed.
    ImageError
        If an image cannot be decoded.
    WrongUseError
        If the given mpp is none of a microscope.
    """
    require_plausible(mpp)
    child = decoder or ImageDecoder()
    opened = None
    try:
        opened = _opened(path, mpp, child, owned=decoder is None)
    finally:
        if decoder is None and not isinstance(opened, SlideFile):
            child.close()
    return opened


def _opened(
    path: Path, mpp: float | None, decoder: ImageDecoder, *, owned: bool
) -> ImageSlide | SlideFile:
    found, image = decoder.opened(path, mpp)
    if image is None:
        return SlideFile(path, found, decoder, owned=owned)
    return ImageSlide(path, image, found.mpp)
