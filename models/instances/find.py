"""Find cells in a map of class probabilities (Li, sec. 2.2: seeds and random walker)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.annotations import Columns, Polygons, Ragged
from models.instances.outlines import boxes_of, outline
from models.instances.walker import grow_seeds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.instances.settings import InstanceSettings


@dataclass(frozen=True, slots=True)
class Instances:
    """The cells of one region, in array pixels."""

    cells: NDArray[np.uint32]
    """(h, w) ids 1 to n, 0 where there is no cell."""
    boxes: NDArray[np.float64]
    """(n, 4) ``x0, y0, x1, y1`` half-open; row ``i`` is id ``i + 1``."""
    scores: NDArray[np.float64]
    """(n,) mean or maximum of p(inner) over the cell's pixels, 0 to 1."""
    polygons: Polygons
    """(n,) outlines along pixel corners."""

    def __len__(self) -> int:
        return len(self.scores)

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Return the pixels of one cell, within its box."""
        x0, y0, x1, y1 = self.boxes[row].astype(np.intp).tolist()
        mask: NDArray[np.bool_] = self.cells[y0:y1, x0:x1] == row + 1
        return mask

    def packed(self, chosen: NDArray[np.bool_], corner: tuple[int, int]) -> PackedCells:
        """Return some of the cells without the map.

        Parameters
        ----------
        chosen : (n,) bool
        corner : (int, int)
            Place y, x of the map's first pixel: the result counts from where that is counted from.
        """
        rows = np.flatnonzero(chosen)
        bits = [np.packbits(self.mask(row)) for row in rows.tolist()]
        polygons, place = self.polygons.take(rows), np.array(corner[::-1], np.float64)
        return PackedCells(
            self.boxes[rows] + np.tile(place, 2),
            self.scores[rows],
            Polygons(polygons.values + place, polygons.offsets),
            Ragged.of(bits, np.zeros(0, np.uint8)),
        )


@dataclass(frozen=True, slots=True)
class PackedCells(Columns):
    """Cells without the map they were found in: small enough to be sent and stored."""

    boxes: NDArray[np.float64]
    """(n, 4) ``x0, y0, x1, y1`` half-open, on pixels."""
    scores: NDArray[np.float64]
    """(n,)"""
    polygons: Polygons
    """(n,) outlines along pixel corners."""
    bits: Ragged
    """(n,) uint8: the pixels of each cell within its box, eight in a byte."""

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Return the pixels of one cell, within its box."""
        x0, y0, x1, y1 = self.boxes[row].astype(np.intp).tolist()
        shape = y1 - y0, x1 - x0
        return np.unpackbits(self.bits[row], count=shape[0] * shape[1]).reshape(shape).view(bool)


def find_instances(
    inner: NDArray[np.float32], edge: NDArray[np.float32], settings: InstanceSettings
) -> Instances:
    """Return the cells of one region.

    A seed is a 4-connected set of candidate pixels that are more inner than edge; seeds grow over
    the candidates by the random walker, and candidates that no seed reaches are dropped.

    Parameters
    ----------
    inner, edge : (h, w) float
        Class probabilities, 0 to 1.
    settings : InstanceSettings
        Candidate floor, beta, smallest seed and score.
    """
    inner, edge = (np.ascontiguousarray(p, np.float32) for p in (inner, edge))
    foreground = inner + edge > settings.candidate_floor
    seeds, n_cells = find_seeds(inner, edge, foreground, settings)
    if n_cells == 0:
        cells = np.zeros(inner.shape, np.uint32)
    else:
        grown = grow_seeds(seeds, foreground, inner - edge, settings.beta)
        cells = grown.view(np.uint32)
    return Instances(
        cells=cells,
        boxes=boxes_of(cells, n_cells),
        scores=_scores(cells, inner, n_cells, settings),
        polygons=outline(cells, np.arange(1, n_cells + 1, dtype=np.uint32)),
    )


def find_seeds(
    inner: NDArray[np.float32],
    edge: NDArray[np.float32],
    foreground: NDArray[np.bool_],
    settings: InstanceSettings,
) -> tuple[NDArray[np.int32], int]:
    """Return the seeds of cells and how many there are.

    Parameters
    ----------
    inner, edge : (h, w) float32
        Class probabilities, 0 to 1.
    foreground : (h, w) bool
        Candidate pixels.
    settings : InstanceSettings
        Candidate floor and smallest seed.

    Returns
    -------
    seeds : (h, w) int32
        4-connected sets of candidates that are more inner than edge, numbered from 1 in reading
        order; 0 elsewhere.
    n_seeds : int
    """
    core = inner > edge
    core &= inner >= settings.candidate_floor
    core &= foreground
    if not core.any():
        return np.zeros(core.shape, np.int32), 0
    n_labels, found, stats, _ = cv2.connectedComponentsWithStats(
        core.view(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    kept = stats[:, cv2.CC_STAT_AREA] >= settings.minimum_area_px
    kept[0] = False
    n_seeds = int(np.count_nonzero(kept))
    if n_seeds == n_labels - 1:
        return found.astype(np.int32, copy=False), n_seeds
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return numbers[found], n_seeds


def _scores(
    cells: NDArray[np.uint32],
    inner: NDArray[np.float32],
    n_cells: int,
    settings: InstanceSettings,
) -> NDArray[np.float64]:
    at = np.flatnonzero(cells)
    rows = cells.ravel()[at].astype(np.intp) - 1
    probability = inner.ravel()[at].astype(np.float64)
    if settings.score == "max":
        highest = np.zeros(n_cells)
        np.maximum.at(highest, rows, probability)
        return highest
    total = np.bincount(rows, probability, n_cells)
    return total / np.bincount(rows, minlength=n_cells)
