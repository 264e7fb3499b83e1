"""Seeded regions full of cells, in two versions, on which label versions are measured.

Cells are discs in the squares of a grid, a tenth of them drawn by a person. In the second version
some are gone, some are new and some have moved, the person's never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import CellRecords, Origin, Polygons, Ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

ADDED, REMOVED, MOVED, HUMAN = 0.02, 0.01, 0.05, 0.1
"""Fractions of the cells."""
POINTS = 16
"""Of each outline."""
_ANGLE = 2 * np.pi * np.arange(POINTS) / POINTS
_CIRCLE = np.stack([np.cos(_ANGLE), np.sin(_ANGLE)], axis=1)


@dataclass(frozen=True, slots=True)
class RegionCells:
    """The cells of one region in one version."""

    side_px: int
    n_before: int
    """Cells in the first version; ids above it are new in the second."""
    ids: NDArray[np.uint32]
    """(n,) rising; a person's first."""
    squares: NDArray[np.int64]
    """(n,) number of the grid square that each cell lies in."""
    offsets: NDArray[np.float64]
    """(n, 2) of the centre from that of the square, in pixels."""

    @property
    def grid(self) -> int:
        """Return how many squares lie beside each other."""
        return int(np.ceil(np.sqrt(self.n_before * (1 + 2 * ADDED))))

    @property
    def pitch_px(self) -> int:
        """Return the side of a square."""
        return self.side_px // self.grid

    @property
    def n_human(self) -> int:
        """Return how many cells a person drew."""
        return int(HUMAN * self.n_before)

    def centres(self) -> NDArray[np.float64]:
        """Return the centre of each cell, (n, 2) ``x, y``."""
        corners = np.stack([self.squares % self.grid, self.squares // self.grid], axis=1)
        centres: NDArray[np.float64] = (corners + 0.5) * self.pitch_px + self.offsets
        return centres

    def masks(self) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        """Return classes and cell ids, (side, side) each."""
        n_squares = self.grid**2
        x, y = np.full(n_squares, -1e9), np.full(n_squares, -1e9)
        x[self.squares], y[self.squares] = self.centres().T
        owner = np.zeros(n_squares, np.uint32)
        owner[self.squares] = self.ids
        along = np.minimum(np.arange(self.side_px) // self.pitch_px, self.grid - 1)
        square = along[:, None] * self.grid + along
        pixel = np.arange(self.side_px) + 0.5
        away = np.hypot(pixel - x[square], pixel[:, None] - y[square])
        radius = 0.38 * self.pitch_px
        classes = (away < radius).astype(np.uint8) + (away < 0.8 * radius)
        return classes, np.where(classes > 0, owner[square], 0).astype(np.uint32)

    def records(self, round_number: int) -> CellRecords:
        """Return the records, with outlines of `POINTS` points."""
        n, centres, radius = len(self.ids), self.centres(), 0.38 * self.pitch_px
        human = np.arange(n) < self.n_human
        old = self.ids <= self.n_before
        rings = (centres[:, None] + radius * _CIRCLE).reshape(-1, 2)
        parents = old & (round_number > 0)
        return CellRecords(
            cell_ids=self.ids,
            boxes=np.concatenate([centres - radius, centres + radius], axis=1),
            polygons=Polygons(rings, np.arange(n + 1) * POINTS),
            scores=np.where(human, np.nan, 0.5 + 0.4 * np.sin(self.ids)),
            origins=np.where(human, Origin.HUMAN, Origin.PSEUDO).astype(np.uint8),
            annotation_ids=np.where(human, self.ids.astype(np.str_), ""),
            rounds=np.where(old, 0, round_number).astype(np.int32),
            stages=np.where(human, "ingest", "self"),
            checkpoints=np.where(human, "", "0123456789abcdef" * 2),
            votes=np.where(human, 0, 1).astype(np.int32),
            parents=Ragged(self.ids[parents], np.concatenate([[0], np.cumsum(parents)])),
        )


def draw_region(side_px: int, n_cells: int, seed: int) -> RegionCells:
    """Return the cells of one region in the first version."""
    rng = np.random.default_rng([seed, side_px, n_cells])
    ids = np.arange(1, n_cells + 1, dtype=np.uint32)
    empty = RegionCells(side_px, n_cells, ids[:0], np.zeros(0, np.int64), np.zeros((0, 2)))
    squares = rng.permutation(empty.grid**2)[:n_cells]
    offsets = rng.uniform(-0.03, 0.03, (n_cells, 2)) * empty.pitch_px
    return RegionCells(side_px, n_cells, ids, squares, offsets)


def next_version(cells: RegionCells, seed: int) -> RegionCells:
    """Return the cells of the second version: some gone, some moved, some new."""
    rng = np.random.default_rng([seed, 1])
    n = cells.n_before
    found = rng.permutation(np.arange(cells.n_human, n))
    gone, moved = np.split(found[: round((REMOVED + MOVED) * n)], [round(REMOVED * n)])
    offsets = cells.offsets.copy()
    offsets[moved] *= -1
    # By half the room that is left in the square, so that no two cells ever meet.
    offsets[moved] += np.sign(offsets[moved]) * 0.07 * cells.pitch_px
    kept = np.setdiff1d(np.arange(n), gone)
    free = np.setdiff1d(np.arange(cells.grid**2), cells.squares)[: round(ADDED * n)]
    ids = np.append(cells.ids[kept], np.arange(n + 1, n + 1 + len(free), dtype=np.uint32))
    squares = np.append(cells.squares[kept], free)
    return RegionCells(
        cells.side_px, n, ids, squares, np.concatenate([offsets[kept], np.zeros((len(free), 2))])
    )
