"""Predictions become the cells of the next label version: merged per pixel, decoded once.

Every merged foreground pixel ends in one cell:

- The pixels of a person's ellipse stay that person's cell.
- A piece of predicted inner region beside an ellipse is the *rim* of that cell if the cell then is
  at most ``human_growth`` times its ellipse. A larger piece is a cell that nobody drew.
- Every other connected piece of inner region is a found cell, unless it is smaller than
  ``minimum_area_px``: noise, which starts no cell but may be part of one.
- A random walker shares out the edge pixels among the cells they touch. A person's cell that would
  grow beyond ``human_growth`` by them gains nothing.
- What then belongs to no cell becomes background.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.annotations import PixelClass
from models.instances.walker import grow_seeds
from models.merging.identity import one_to_one, parents, pixel_overlaps
from models.merging.three_steps import merge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.annotations import Ragged
    from models.merging.settings import MergeSettings
    from models.merging.three_steps import HumanCells


@dataclass(frozen=True, slots=True)
class Previous:
    """The label version that the next one grows from, in one region."""

    cells: NDArray[np.uint32]
    """(h, w) cell ids, a person's among them."""
    next_cell_id: int
    """The first id that no cell of the chain ever had."""


@dataclass(frozen=True, slots=True)
class Relabelled:
    """One region of the next label version."""

    classes: NDArray[np.uint8]
    """(h, w) `PixelClass`."""
    cells: NDArray[np.uint32]
    """(h, w) cell ids."""
    ids: NDArray[np.uint32]
    """(n,) the ids, rising."""
    is_human: NDArray[np.bool_]
    """(n,) whether a person drew the cell."""
    parents: Ragged
    """(n,) rows of uint32: cells of the version before that the cell grew from."""
    scores: NDArray[np.float64]
    """(n,) mean p(inner) over the cell; NaN for a person's."""
    next_cell_id: int
    """The first id that is still free."""


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Cells numbered 1..k: the person's in the order of their ids, then the found ones."""

    cells: NDArray[np.int32]
    human_ids: NDArray[np.int64]


def relabel(
    predicted: NDArray[np.uint8],
    inner_probability: NDArray[np.float32],
    human: HumanCells,
    previous: Previous,
    settings: MergeSettings,
) -> Relabelled:
    """Return one region of the next label version.

    Parameters
    ----------
    predicted : (h, w) uint8
        From `models.merging.three_steps.classify`.
    inner_probability : (h, w) float32
        p(inner), 0 to 1: steers the walker and scores the found cells.
    human : HumanCells
        From the version in which a person's cells were last read in.
    previous : Previous
        The version to grow from; its cells lend their ids.
    settings : MergeSettings

    References
    ----------
    Li, sec. 2.3 for the merge (`models.merging.three_steps`) and sec. 2.2 for the random walker.
    The paper does not say how instances are told apart after a merge; the rules above are ours.
    """
    merged = merge(predicted, human, settings)
    decoded = _decode(merged, inner_probability, human, settings)
    classes = np.where((decoded.cells == 0) & (merged != PixelClass.IGNORE), 0, merged)
    return _named(classes.astype(np.uint8), decoded, inner_probability, previous, settings)


def _decode(
    merged: NDArray[np.uint8],
    inner_probability: NDArray[np.float32],
    human: HumanCells,
    settings: MergeSettings,
) -> _Decoded:
    areas = np.bincount(human.cells.ravel())
    areas[0] = 0
    human_ids = np.flatnonzero(areas)
    position = np.zeros(len(areas), np.int32)
    position[human_ids] = np.arange(1, len(human_ids) + 1)
    drawn = position[human.cells]
    ellipse_areas = np.concatenate([[0], areas[human_ids]])
    seeds = _seeds(merged, drawn, ellipse_areas, settings)
    foreground = (merged == PixelClass.EDGE) | (merged == PixelClass.INNER)
    cells = grow_seeds(seeds, foreground, inner_probability, settings.beta)
    return _Decoded(_without_growth(cells, drawn, ellipse_areas, settings), human_ids)


def _seeds(
    merged: NDArray[np.uint8],
    drawn: NDArray[np.int32],
    ellipse_areas: NDArray[np.int64],
    settings: MergeSettings,
) -> NDArray[np.int32]:
    """Return the ellipses, their rims, and the remaining pieces of inner region, numbered."""
    loose = ((merged == PixelClass.INNER) & (drawn == 0)).astype(np.uint8)
    n_pieces, pieces, statistics, _ = cv2.connectedComponentsWithStats(loose, connectivity=4)
    n_human = len(ellipse_areas) - 1
    number = np.arange(n_pieces, dtype=np.int32) + n_human
    piece_areas = statistics[:, cv2.CC_STAT_AREA]
    number[piece_areas < settings.minimum_area_px] = 0
    number[0] = 0
    spare = np.floor(ellipse_areas * (settings.human_growth - 1))
    for piece, cell in _touching(pieces, drawn):
        is_loose = number[piece] == 0 or number[piece] > n_human
        if is_loose and piece_areas[piece] <= spare[cell]:
            number[piece] = cell
            spare[cell] -= piece_areas[piece]
    seeds: NDArray[np.int32] = np.where(drawn > 0, drawn, number[pieces])
    return seeds


def _touching(pieces: NDArray[np.int32], drawn: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Return which piece touches which person's cell, the longest contact first."""
    near = cv2.dilate((drawn > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    y, x = np.nonzero(near & (pieces > 0))
    steps = np.array([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    rows = np.clip(y[:, None] + steps[:, 0], 0, drawn.shape[0] - 1)
    columns = np.clip(x[:, None] + steps[:, 1], 0, drawn.shape[1] - 1)
    cell, piece = drawn[rows, columns], np.repeat(pieces[y, x][:, None], len(steps), axis=1)
    pairs, contact = np.unique(
        np.stack([piece[cell > 0], cell[cell > 0]], axis=1), axis=0, return_counts=True
    )
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -contact))
    return [(int(one), int(other)) for one, other in pairs[order]]


def _without_growth(
    cells: NDArray[np.int32],
    drawn: NDArray[np.int32],
    ellipse_areas: NDArray[np.int64],
    settings: MergeSettings,
) -> NDArray[np.int32]:
    """Return the cells with a person's cells that grew too large cut back to their ellipse."""
    areas = np.bincount(cells.ravel(), minlength=len(ellipse_areas))
    swollen = np.zeros(len(areas), bool)
    limits = ellipse_areas * settings.human_growth
    swollen[1 : len(limits)] = areas[1 : len(limits)] > limits[1:]
    return np.where(swollen[cells] & (drawn == 0), 0, cells).astype(np.int32)


def _named(
    classes: NDArray[np.uint8],
    decoded: _Decoded,
    inner_probability: NDArray[np.float32],
    previous: Previous,
    settings: MergeSettings,
) -> Relabelled:
    n_human = len(decoded.human_ids)
    areas = np.bincount(decoded.cells.ravel(), minlength=n_human + 1)
    sums = np.bincount(decoded.cells.ravel(), inner_probability.ravel(), minlength=n_human + 1)
    areas[0] = 0
    present = np.flatnonzero(areas)
    overlaps = pixel_overlaps(decoded.cells, previous.cells)
    names = np.zeros(len(areas), np.uint32)
    names[1 : n_human + 1] = decoded.human_ids
    close = overlaps.above(settings.identity_iou)
    found = (close.first > n_human) & ~np.isin(close.second, decoded.human_ids)
    for cell, name in one_to_one(close.at(found)).items():
        names[cell] = name
    new = present[names[present] == 0]
    names[new] = previous.next_cell_id + np.arange(len(new))
    order = np.argsort(names[present])
    rows = present[order]
    return Relabelled(
        classes=classes,
        cells=names[decoded.cells],
        ids=names[rows],
        is_human=rows <= n_human,
        parents=parents(overlaps, rows, settings.identity_iou),
        scores=np.where(rows <= n_human, np.nan, sums[rows] / areas[rows]),
        next_cell_id=previous.next_cell_id + len(new),
    )
