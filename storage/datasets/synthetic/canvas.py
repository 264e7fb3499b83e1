"""Two layers of stain to paint on, and the picture they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from storage.datasets.synthetic.organ import Organ

    Layer = NDArray[np.float32]

TEXTURE_PX = 256
SENSOR_NOISE = 2.5
"""Standard deviation of the camera's noise, in grey values."""


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A shape to paint; centre, half axes and angle in pixels and radians."""

    x: float
    y: float
    a: float
    b: float
    angle: float = 0.0
    irregularity: float = 0.0
    """How far the outline departs from an ellipse, of its radius."""


@dataclass(frozen=True, slots=True)
class Paint:
    """How much of each stain a shape holds."""

    haematoxylin: float
    eosin: float
    texture: float = 0.0
    """Contrast of a fine grain in the haematoxylin."""
    softness_px: float = 1.6


@dataclass(frozen=True, slots=True)
class Patch:
    """The part of a canvas around a point, with coordinates relative to it."""

    rows: slice
    columns: slice
    xx: NDArray[np.float32]
    """(1, w)"""
    yy: NDArray[np.float32]
    """(h, 1)"""

    @property
    def where(self) -> tuple[slice, slice]:
        """Return the index into a layer."""
        return self.rows, self.columns


class Canvas:
    """A square of tissue: optical density of haematoxylin and of eosin, (n, n) float32 each."""

    def __init__(self, n_px: int, rng: Generator) -> None:
        self.n_px = n_px
        self.rng = rng
        self.haematoxylin: Layer = np.zeros((n_px, n_px), np.float32)
        self.eosin: Layer = np.zeros((n_px, n_px), np.float32)
        grain = rng.standard_normal((TEXTURE_PX, TEXTURE_PX), dtype=np.float32)
        blurred = cv2.GaussianBlur(grain, (0, 0), 1.2)
        self._grain: Layer = np.asarray(blurred / blurred.std(), np.float32)

    def anywhere(self) -> tuple[float, float]:
        """Return a random point."""
        return self.rng.uniform(0, self.n_px), self.rng.uniform(0, self.n_px)

    def patch(self, x: float, y: float, radius: float) -> Patch | None:
        """Return the surroundings of a point, None where they lie outside the canvas."""
        x0, x1 = max(0, int(x - radius)), min(self.n_px, int(x + radius) + 2)
        y0, y1 = max(0, int(y - radius)), min(self.n_px, int(y + radius) + 2)
        if x1 - x0 < 2 or y1 - y0 < 2:
            return None
        xx = (np.arange(x0, x1, dtype=np.float32) - np.float32(x))[None]
        yy = (np.arange(y0, y1, dtype=np.float32) - np.float32(y))[:, None]
        return Patch(slice(y0, y1), slice(x0, x1), xx, yy)

    def grain(self, patch: Patch) -> Layer | float:
        """Return fine noise of unit variance for a patch; none for a patch that is too large."""
        height = patch.rows.stop - patch.rows.start
        width = patch.columns.stop - patch.columns.start
        y = int(self.rng.integers(0, TEXTURE_PX - min(height, 200)))
        x = int(self.rng.integers(0, TEXTURE_PX - min(width, 200)))
        piece = self._grain[y : y + height, x : x + width]
        return piece if piece.shape == (height, width) else 0.0

    def blend(
        self, patch: Patch, alpha: Layer, haematoxylin: Layer | float, eosin: Layer | float
    ) -> None:
        """Replace the stain of a patch by the given one, as far as alpha (0 to 1) says."""
        for layer, value in ((self.haematoxylin, haematoxylin), (self.eosin, eosin)):
            under = layer[patch.where]
            layer[patch.where] = under + (np.float32(1) * value - under) * alpha

    def fill(self, shape: Ellipse, paint: Paint) -> None:
        """Paint one soft ellipse."""
        patch = self.patch(shape.x, shape.y, max(shape.a, shape.b) * 1.25 + 2)
        if patch is None:
            return
        alpha = coverage(
            radius_of(patch, shape, self.rng), min(shape.a, shape.b), paint.softness_px
        )
        haematoxylin: Layer | float = paint.haematoxylin
        if paint.texture:
            haematoxylin = paint.haematoxylin * (1 + paint.texture * self.grain(patch))
        self.blend(patch, alpha, haematoxylin, paint.eosin)

    def picture(self, organ: Organ) -> NDArray[np.uint8]:
        """Return what a camera sees, (n, n, 3) RGB, by the law of Lambert and Beer."""
        density = cv2.GaussianBlur(self.haematoxylin, (0, 0), 0.8)[..., None] * np.float32(1.15)
        density = density * organ.haematoxylin.astype(np.float32)
        eosin = cv2.GaussianBlur(self.eosin, (0, 0), 0.8)[..., None] * np.float32(0.95)
        density += eosin * organ.eosin.astype(np.float32) + np.float32(0.02)
        seen = np.float32(255) * np.exp(-density)
        seen += self.rng.standard_normal(seen.shape, dtype=np.float32) * np.float32(SENSOR_NOISE)
        return np.asarray(np.clip(seen, 0, 255), np.uint8)


def radius_of(
    patch: Patch, shape: Ellipse, rng: Generator, offset: tuple[float, float] = (0.0, 0.0)
) -> NDArray[np.float32]:
    """Return the distance of each pixel from the middle of a shape, 1 on its outline.

    Parameters
    ----------
    patch, shape
        The pixels, relative to the patch's centre; of the shape only axes, angle, irregularity.
    rng : Generator
        Draws the irregularity.
    offset : (float, float)
        ``x, y`` of the shape's middle relative to the patch's centre.
    """
    cos, sin = np.float32(np.cos(shape.angle)), np.float32(np.sin(shape.angle))
    x, y = patch.xx - np.float32(offset[0]), patch.yy - np.float32(offset[1])
    along = (x * cos + y * sin) / np.float32(shape.a)
    across = (y * cos - x * sin) / np.float32(shape.b)
    radius = np.sqrt(along * along + across * across)
    if shape.irregularity:
        angle = np.arctan2(across, along)
        first, second = rng.uniform(0, 2 * np.pi, 2).astype(np.float32)
        waves = np.cos(2 * angle + first) + np.float32(0.6) * np.cos(3 * angle + second)
        radius = radius * (1 + np.float32(shape.irregularity) * waves)
    return np.asarray(radius, np.float32)


def coverage(radius: NDArray[np.float32], size_px: float, softness_px: float = 1.6) -> Layer:
    """Return how far each pixel is covered by a shape, 0 to 1, from its distances."""
    steep = (1 - radius) * np.float32(size_px / softness_px) + np.float32(0.5)
    return np.asarray(np.clip(steep, 0, 1), np.float32)


def smooth_noise(rng: Generator, n_px: int, cell_px: tuple[float, float]) -> NDArray[np.float32]:
    """Return (n, n) noise of about unit variance whose waves are ``cell_px`` (y, x) long."""
    rows, columns = (int(np.ceil(n_px / cell)) + 3 for cell in cell_px)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    width, height = round(columns * cell_px[1]), round(rows * cell_px[0])
    fine = cv2.resize(coarse, (max(width, n_px), max(height, n_px)), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(fine[:n_px, :n_px], np.float32)
