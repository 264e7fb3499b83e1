"""What every label version promises, checked before it becomes visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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


def require_human_inner(
    region_id: str, labels: RegionLabels, drawn: tuple[NDArray[np.uint8], NDArray[np.uint32]]
) -> None:
    """Check that each of the person's cells keeps half of the inner pixels it was drawn with.

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
    n_ids = int(human.max()) + 1
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


def _broken(region_id: str, what: str, remedy: str) -> LabelContractError:
    return LabelContractError(f"labels of region {region_id}: {what}; {remedy}.")
