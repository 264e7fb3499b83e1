"""Flips, quarter turns and stain of a training crop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.augmentation.settings import AugmentationSettings

_DENSITY = -np.log((np.arange(256) + 1.0) / 256.0)
"""Optical density of each grey value: 0 for white."""


def augment(
    image: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    settings: AugmentationSettings,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a varied copy of one square crop.

    Parameters
    ----------
    image : ndarray
        (side, side, 3) uint8 RGB.
    classes : ndarray
        (side, side) uint8.
    settings : AugmentationSettings
        What may change.
    rng : Generator
        Drawn from equally often whatever the settings say.
    """
    quarters, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    gains, shifts = rng.uniform(-1, 1, 3), rng.uniform(-1, 1, 3)
    if settings.turn:
        image, classes = _turned(image, quarters, mirrored), _turned(classes, quarters, mirrored)
    if settings.stain or settings.brightness:
        image = restained(image, 1 + settings.stain * gains, settings.brightness * shifts)
    return image, classes


def restained(
    image: NDArray[np.uint8], gains: NDArray[np.float64], shifts: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Return the image with the optical density of each colour scaled and shifted.

    Parameters
    ----------
    image : ndarray
        (y, x, 3) uint8 RGB.
    gains, shifts : ndarray
        (3,) one for each colour; 1 and 0 change nothing.
    """
    density = _DENSITY[:, None] * gains + shifts
    table = np.clip(np.rint(256 * np.exp(-density) - 1), 0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(image), table[None]).astype(np.uint8, copy=False)


def _turned(array: NDArray[np.uint8], quarters: int, mirrored: bool) -> NDArray[np.uint8]:
    turned = np.rot90(array, quarters)
    return turned[:, ::-1] if mirrored else turned
