"""What every label version promises, checked before it becomes visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np
from scipy.ndimage import find_objects

from models.annotations import PixelClass
from models.errors import LabelContractError
from storage.labels.records import human_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.annotations import CellRecords
    from models.geometry.tiles import Placement
    from storage.labels.schema import RegionEntry

MINIMUM_INNER_KEPT = 0.5
"""A person's cell keeps at least this part of the inner pixels it was drawn with."""
_CLASSES = frozenset(map(int, PixelClass))

Masks: TypeAlias = "tuple[NDArray[np.uint8], NDArray[np.uint32]]"
"""(h, w) `PixelClass` and (h, w) cell ids of one region."""


@dataclass(frozen=True, slots=True)
class RegionLabels:
    """The labels of one region."""

    placement: Placement
    classes: NDArray[np.uint8]
    """(h, w) `PixelClass`."""
    cells: NDArray[np.uint32]
    """(h, w) cell ids, 0 where there is no cell."""
    records: CellRecords
    next_cell_id: int
    """The first id that no cell of this region ever had."""


def require_agreement(region_id: str, labels: RegionLabels) -> None:
    """Check that classes, cells and records of a region say the same.

    Raises
    ------
    LabelContractError
        If not: names the region and the first cell or pixel at odds.
    """
    classes, cells = labels.classes, labels.cells
    if classes.shape != cells.shape or classes.dtype != np.uint8 or cells.dtype != np.uint32:
        raise _broken(
            region_id,
            f"classes are {classes.dtype} {classes.shape} and cells {cells.dtype} {cells.shape}",
            "give uint8 and uint32 arrays of one shape",
        )
    is_cell = (classes == PixelClass.EDGE) | (classes == PixelClass.INNER)
    nothing = (classes == PixelClass.BACKGROUND) | (classes == PixelClass.IGNORE)
    if not (is_cell | nothing).all():
        values = sorted(set(np.unique(classes).tolist()) - _CLASSES)
        raise _broken(region_id, f"classes hold {values}", "use 0, 1, 2 and 255")
    at_odds = is_cell != (cells > 0)
    if at_odds.any():
        y, x = np.argwhere(at_odds)[0].tolist()
        found = f"{np.count_nonzero(at_odds)} pixels, the first at x {x}, y {y}"
        said = f"have class {classes[y, x]} with cell {cells[y, x]}"
        raise _broken(region_id, f"{found}, {said}", "give each edge or inner pixel a cell")
    _require_same_ids(region_id, labels)


def present_ids(cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the ids above 0 that an id map holds, rising."""
    flat = cells.ravel()
    # One pixel of each run along a row is enough, and there are far fewer of them.
    starts = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ids = np.unique(np.append(flat[:1], flat[starts]))
    return ids[ids > 0]


def _require_same_ids(region_id: str, labels: RegionLabels) -> None:
    recorded, counts = np.unique(labels.records.cell_ids, return_counts=True)
    if (counts > 1).any():
        cell = recorded[counts > 1][0]
        raise _broken(region_id, f"cell {cell} has more than one record", "give each cell one id")
    present = present_ids(labels.cells)
    for cells, what, remedy in (
        (np.setdiff1d(present, recorded), "has pixels but no record", "record it or erase it"),
        (np.setdiff1d(recorded, present), "has a record but no pixels", "draw it or drop it"),
    ):
        if len(cells):
            raise _broken(region_id, f"cell {cells[0]} {what}", remedy)
    if len(recorded) and recorded[-1] >= labels.next_cell_id:
        raise _broken(
            region_id,
            f"cell {recorded[-1]} is not below next_cell_id {labels.next_cell_id}",
            "give new cells ids from next_cell_id on, and raise it",
        )


def require_continuation(region_id: str, labels: RegionLabels, parent: RegionEntry) -> None:
    """Check that a region lies where it lay in the parent version and uses no id again.

    Raises
    ------
    LabelContractError
        If not.
    """
    if labels.placement != parent.placement:
        raise _broken(
            region_id,
            f"lies at {labels.placement}, in the parent at {parent.placement}",
            "start a new chain for another scale",
        )
    if labels.next_cell_id < parent.next_cell_id:
        raise _broken(
            region_id,
            f"next_cell_id fell from {parent.next_cell_id} to {labels.next_cell_id}",
            "go on from the parent's, so that no id names two cells",
        )


def require_human_records(region_id: str, records: CellRecords, parent: CellRecords) -> None:
    """Check that a region has exactly the person's cells of the parent version.

    Raises
    ------
    LabelContractError
        If a person's cell was lost, added or moved: names it.
    """
    if human_digest(records) == human_digest(parent):
        return
    before, after = _identities(parent), _identities(records)
    changed = [cell for cell in before if after.get(cell) != before[cell]]
    added = [cell for cell in after if cell not in before]
    cell = min(changed or added)
    what = "was changed" if cell in after and cell in before else "was added"
    raise _broken(
        region_id,
        f"the person's cell {cell} {what if cell in after else 'was lost'}",
        "keep the records of a person's cells; only ingest and labels import change them",
    )


def _identities(records: CellRecords) -> dict[int, tuple[tuple[float, ...], str]]:
    human = records.take(records.is_human)
    columns = (human.cell_ids.tolist(), human.boxes.tolist(), human.annotation_ids.tolist())
    return {cell: (tuple(box), annotation) for cell, box, annotation in zip(*columns, strict=True)}


def require_all_regions(
    entries: Mapping[str, RegionEntry], parent: Mapping[str, RegionEntry]
) -> None:
    """Check that no region in which a person drew was left out.

    Raises
    ------
    LabelContractError
        If one was.
    """
    for region_id, entry in parent.items():
        if entry.human_count and region_id not in entries:
            raise _broken(
                region_id,
                f"its {entry.human_count} cells of a person are missing from the new version",
                "put the region, or keep it as it was",
            )


def require_human_pixels(region_id: str, labels: RegionLabels, drawn: Masks) -> None:
    """Check that each of the person's cells keeps half of its inner pixels and stays one instance.

    One instance: as many connected pieces as when it was drawn, or fewer; corners join, but not
    for the inner pixels that are left of the drawn ones.

    Parameters
    ----------
    region_id, labels
        The region and its new labels.
    drawn
        Classes and cells of the version in which the person's cells were read in.

    Raises
    ------
    LabelContractError
        If one does not: names it.
    """
    human = labels.records.cell_ids[labels.records.is_human].astype(np.int64)
    old_classes, old_cells = drawn
    was_inner = old_classes == PixelClass.INNER
    is_kept = was_inner & (labels.classes == PixelClass.INNER) & (labels.cells == old_cells)
    n_ids = int(human.max(initial=0)) + 1
    before = np.bincount(old_cells[was_inner], minlength=n_ids)[human]
    after = np.bincount(old_cells[is_kept], minlength=n_ids)[human]
    lost = np.flatnonzero(after < MINIMUM_INNER_KEPT * before)
    if len(lost):
        first = lost[0]
        raise _broken(
            region_id,
            f"the person's cell {human[first]} keeps {after[first]} of {before[first]} inner "
            f"pixels, at least half is promised",
            "merge with human_inner_kept of 0.5 or more",
        )
    torn = torn_cells((labels.classes, labels.cells), drawn, human)
    if len(torn):
        raise _broken(
            region_id,
            f"the person's cell {torn[0]} fell into more pieces than it was drawn in",
            "merge so that no prediction cuts a cell that a person drew",
        )


def torn_cells(now: Masks, drawn: Masks, human: NDArray[np.int64]) -> list[int]:
    """Return the ids of a person's cells that are in more pieces than when they were drawn."""
    differ = (now[1] != drawn[1]) | ((now[0] != drawn[0]) & (drawn[1] > 0))
    touched = np.union1d(present_ids(now[1][differ]), present_ids(drawn[1][differ]))
    suspects = np.intersect1d(human, touched)
    if not len(suspects):
        return []
    number = np.zeros(int(max(now[1].max(), drawn[1].max())) + 1, np.int32)
    number[suspects] = np.arange(1, len(suspects) + 1)
    after, before = number[now[1]], number[drawn[1]]
    of_inner = np.where(drawn[0] == PixelClass.INNER, before, 0)
    of_kept = np.where((now[0] == PixelClass.INNER) & (after == before), of_inner, 0)
    n = len(suspects)
    torn = _pieces(after, n, 8) > _pieces(before, n, 8)
    torn |= _pieces(of_kept, n, 4) > _pieces(of_inner, n, 4)
    return [int(suspects[row]) for row in np.flatnonzero(torn)]


def _pieces(cells: NDArray[np.int32], n_cells: int, neighbours: int) -> NDArray[np.int64]:
    """Return in how many connected pieces each of the cells 1..n is, (n,)."""
    counts = np.zeros(n_cells, np.int64)
    for row, where in enumerate(find_objects(cells, max_label=n_cells)):
        if where:
            mask = (cells[where] == row + 1).view(np.uint8)
            counts[row] = cv2.connectedComponents(mask, connectivity=neighbours)[0] - 1
    return counts


def _broken(region_id: str, what: str, remedy: str) -> LabelContractError:
    return LabelContractError(f"labels of region {region_id}: {what}; {remedy}.")
