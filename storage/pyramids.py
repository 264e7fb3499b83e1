"""Pictures in levels of falling size, read at any scale."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np

from models.geometry.tiles import Window, choose_level, level_window, spans, working_size

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK_PX = 4096
"""Side of what is decoded at once: 48 MiB."""
WHITE = 255


class Pyramid(ABC):
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

    def overview_cost_px(self, max_side_px: int) -> int:
        """Return how many pixels an overview of that size is made of."""
        downsample = max(1.0, max(self.width, self.height) / max_side_px)
        width, height = self._level_sizes[choose_level(self.level_downsamples, downsample)]
        return width * height

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


def _resized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
