"""Which of many changes a person should look at first."""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from models.geometry.boxes import areas
from storage.labels.diff.cells import Change

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from storage.labels.diff.cells import CellChanges
    from storage.labels.diff.compare import VersionDiff

NEAR_PX = 64
"""Changes whose middles are closer, in working pixels, share a picture: one of them is enough."""
KINDS = (
    Change.SPLIT, Change.MERGED, Change.REMOVED, Change.ADDED, Change.DRIFTED, Change.MOVED,
    Change.RESIZED, Change.RESCORED,
)  # fmt: skip
"""In the order of showing; a person's cells come before all of them."""


def telling_rows(found: VersionDiff, n_shown: int) -> list[int]:
    """Return rows of the changes, the most telling first: of each kind the strongest in turn.

    A change beside one that is shown already is left out; its picture is the same.
    """
    changes = found.changes
    middles = middles_of(changes)
    near = {name: NEAR_PX * _downsample(found, name) for name in found.by_region}
    shown: list[int] = []
    for row in _in_turn(changes):
        if len(shown) == n_shown:
            break
        here = [other for other in shown if changes.regions[other] == changes.regions[row]]
        reach = near[found.regions[changes.regions[row]]]
        if all(np.abs(middles[row] - middles[other]).max() >= reach for other in here):
            shown.append(row)
    return shown


def middles_of(changes: CellChanges) -> NDArray[np.float64]:
    """Return the middle of each change, (n, 2) ``x, y`` in level-0 pixels."""
    boxes = np.where(np.isnan(changes.after_boxes), changes.before_boxes, changes.after_boxes)
    middles: NDArray[np.float64] = (boxes[:, :2] + boxes[:, 2:]) / 2
    return middles


def _in_turn(changes: CellChanges) -> list[int]:
    rows = [np.flatnonzero(changes.human)]
    rows += [np.flatnonzero(changes.of(kind) & ~changes.human) for kind in KINDS]
    strengths = [np.zeros(len(changes)), *(_strength(changes, kind) for kind in KINDS)]
    ordered = [
        of_kind[np.argsort(-strength[of_kind], kind="stable")].tolist()
        for of_kind, strength in zip(rows, strengths, strict=True)
    ]
    in_turn = chain.from_iterable(zip_longest(*ordered[1:]))
    unique = dict.fromkeys(row for row in (*ordered[0], *in_turn) if row is not None)
    return list(unique)


def _strength(changes: CellChanges, kind: Change) -> NDArray[np.float64]:
    """Return how telling each row is of its kind, (n,)."""
    size = np.sqrt(np.fmax(areas(changes.before_boxes), areas(changes.after_boxes)))
    measures = {
        Change.SPLIT: size,
        Change.MERGED: size,
        Change.REMOVED: changes.before_scores,
        Change.ADDED: changes.after_scores,
        Change.DRIFTED: changes.shifts,
        Change.MOVED: changes.shifts / np.where(size > 0, size, np.nan),
        Change.RESIZED: np.abs(np.log(np.maximum(1 + changes.growths, 1e-9))),
        Change.RESCORED: np.abs(changes.after_scores - changes.before_scores),
    }
    strength: NDArray[np.float64] = np.nan_to_num(measures[kind], nan=0.0)
    return strength


def _downsample(found: VersionDiff, region_id: str) -> float:
    version = found.after if region_id in found.after.entries else found.before
    return version.placement(region_id).downsample
