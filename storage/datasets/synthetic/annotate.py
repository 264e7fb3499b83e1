"""An annotator who marks what is easy to see and skips crowds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

NEIGHBOUR_PX = 70
TILE_PX = 170
DULL_TILES = 0.45
"""The fraction of tiles that the annotator hardly looks at."""
DULL_ATTENTION = 0.12
CROWD_PENALTY = 0.22
"""Each neighbour makes a cell less likely to be marked, by this exponent."""
MAXIMUM_PROBABILITY = 0.95


def annotated(boxes: NDArray[np.float64], rate: float, rng: Generator) -> NDArray[np.bool_]:
    """Return which cells a person marked, (n,): ``rate`` of them in expectation.

    Whole tiles are skipped, and within a tile the cells of a crowd; what is missing is therefore
    not missing at random, which is what makes incomplete annotations hard.
    """
    if len(boxes) == 0:
        return np.zeros(0, np.bool_)
    weights = _attention(boxes, rng)
    marked: NDArray[np.bool_] = rng.random(len(boxes)) < _scaled(weights, rate)
    return marked


def _attention(boxes: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    gaps = centres[:, None] - centres[None]
    neighbours = (np.hypot(gaps[..., 0], gaps[..., 1]) < NEIGHBOUR_PX).sum(axis=1) - 1
    tiles = ((centres + rng.uniform(0, TILE_PX, 2)) // TILE_PX).astype(int)
    _, tile_of_cell = np.unique(tiles, axis=0, return_inverse=True)
    dull = rng.random(int(tile_of_cell.max()) + 1) < DULL_TILES
    attention = np.where(dull, DULL_ATTENTION, 1.0)[tile_of_cell.ravel()]
    return np.asarray(np.exp(-CROWD_PENALTY * neighbours) * attention, np.float64)


def _scaled(weights: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Return probabilities in proportion to the weights, with the wanted mean."""
    low, high = 0.0, 1e4
    for _ in range(50):
        middle = (low + high) / 2
        if np.minimum(MAXIMUM_PROBABILITY, weights * middle).mean() < rate:
            low = middle
        else:
            high = middle
    return np.minimum(MAXIMUM_PROBABILITY, weights * low)
