"""Seeded probability maps on which instances are measured and compared.

The maps are drawn, not stored: the same seed gives the same map on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = (512, 80)
"""Side in pixels and cells of the small shipped map."""
LARGE = (2000, 400)
"""Side in pixels and cells of the large shipped map."""

EDGE = 0.16
"""Width of a cell's edge in radii: 0.08 of the box's side, as annotated ellipses are drawn."""


@dataclass(frozen=True, slots=True)
class ProbabilityMap:
    """What a network would say of one region."""

    inner: NDArray[np.float32]
    """(h, w) probability of a cell's inside."""
    edge: NDArray[np.float32]
    """(h, w) probability of a cell's edge."""


def draw_map(side_px: int, n_cells: int, seed: int = 0) -> ProbabilityMap:
    """Return a map of clustered elliptic cells, most of them touching another.

    Parameters
    ----------
    side_px : int
        Height and width of the map.
    n_cells : int
        Cells drawn; a cell that covers another one's centre is drawn elsewhere.
    seed : int
        The same seed gives the same map.
    """
    rng = np.random.default_rng([seed, side_px, n_cells])
    depth = np.zeros((side_px, side_px), np.float32)
    second = np.zeros_like(depth)
    for x, y in _place_centres(rng, side_px, n_cells):
        _draw_cell(depth, second, (x, y), rng)
    # 0 on outlines, and 0 where two cells are equally deep: both are edge.
    margin = np.minimum(depth, depth - second)
    inside = ((depth > 0) & (margin > EDGE)).astype(np.float32)
    border = ((depth > 0) & (margin <= EDGE)).astype(np.float32)
    classes = np.stack([1 - inside - border, border, inside], axis=-1)
    soft = cv2.GaussianBlur(classes, (0, 0), 1.2)
    noise = cv2.GaussianBlur(np.asarray(rng.normal(0, 1.5, soft.shape), np.float32), (0, 0), 1.5)
    weight = np.exp(6 * soft + noise)
    weight /= weight.sum(axis=-1, keepdims=True)
    return ProbabilityMap(weight[..., 2].copy(), weight[..., 1].copy())


def _place_centres(
    rng: np.random.Generator, side_px: int, n_cells: int
) -> list[tuple[float, float]]:
    clusters = rng.uniform(0, side_px, (max(4, n_cells // 20), 2))
    centres: list[tuple[float, float]] = []
    while len(centres) < n_cells:
        spread = rng.normal(0, 70, 2)
        x, y = clusters[rng.integers(len(clusters))] + spread
        inside = 20 <= x < side_px - 20 and 20 <= y < side_px - 20
        if inside and all((x - u) ** 2 + (y - v) ** 2 > 30**2 for u, v in centres):
            centres.append((float(x), float(y)))
    return centres


def _draw_cell(
    depth: NDArray[np.float32],
    second: NDArray[np.float32],
    centre: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    """Raise the depth (1 in a cell's centre, 0 on its outline) and the runner-up's depth."""
    radii = rng.uniform(15, 26, 2)
    angle = rng.uniform(0, np.pi)
    reach = int(radii.max()) + 2
    y0, x0 = (max(0, int(c) - reach) for c in (centre[1], centre[0]))
    here = np.s_[y0 : int(centre[1]) + reach, x0 : int(centre[0]) + reach]
    height, width = depth[here].shape
    dx = np.arange(x0, x0 + width) - centre[0]
    dy = np.arange(y0, y0 + height)[:, None] - centre[1]
    along = (dx * np.cos(angle) + dy * np.sin(angle)) / radii[0]
    across = (dy * np.cos(angle) - dx * np.sin(angle)) / radii[1]
    own = np.asarray(np.maximum(0, 1 - np.hypot(along, across)), np.float32)
    second[here] = np.maximum(second[here], np.minimum(depth[here], own))
    depth[here] = np.maximum(depth[here], own)
