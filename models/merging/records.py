"""The records of a label version: where each of its cells comes from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import CellRecords, Origin, Polygons, Ragged
from models.instances.outlines import boxes_of, outline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.annotations import Annotations
    from models.geometry.tiles import Placement
    from models.merging.relabel import Relabelled


@dataclass(frozen=True, slots=True)
class Provenance:
    """What found the cells of a new label version."""

    round: int
    stage: str
    """self, self_extra, cooperative."""
    checkpoint: str
    """Digest of the network."""
    votes: int = 1
    """How many views or networks agreed."""


def human_records(annotations: Annotations, stage: str = "ingest") -> CellRecords:
    """Return the records of version 0: cell ids 1..n in the order of the annotations."""
    n = len(annotations)
    text = np.zeros(n, "<U1")
    return CellRecords(
        cell_ids=np.arange(1, n + 1, dtype=np.uint32),
        boxes=annotations.boxes,
        polygons=annotations.polygons,
        scores=np.full(n, np.nan),
        origins=np.full(n, Origin.HUMAN, np.uint8),
        annotation_ids=annotations.ids,
        rounds=np.zeros(n, np.int32),
        stages=np.full(n, stage),
        checkpoints=text,
        votes=np.zeros(n, np.int32),
        parents=Ragged(np.zeros(0, np.uint32), np.zeros(n + 1, np.int64)),
    )


def next_records(
    relabelled: Relabelled, previous: CellRecords, placement: Placement, provenance: Provenance
) -> CellRecords:
    """Return the records of one region of the next label version.

    A person's cell keeps its box, outline and annotation, whatever its pixels became. A found cell
    takes box, outline and score from its new pixels; one that was there before keeps the round,
    stage and checkpoint that brought it in.

    Parameters
    ----------
    relabelled : Relabelled
    previous : CellRecords
        Of the same region in the version before, in any order; holds every person's cell.
    placement : Placement
        Of the region, to give boxes and outlines in level-0 pixels.
    provenance : Provenance
        What found the cells that are new.
    """
    human = previous.take(_rows_of(previous, relabelled.ids[relabelled.is_human]))
    human = replace(human, parents=relabelled.parents.take(relabelled.is_human))
    found = _found(relabelled, placement, provenance)
    known = np.isin(found.cell_ids, previous.cell_ids)
    before = previous.take(_rows_of(previous, found.cell_ids[known]))
    found = replace(
        found,
        rounds=_with(found.rounds, known, before.rounds),
        stages=_with(found.stages, known, before.stages),
        checkpoints=_with(found.checkpoints, known, before.checkpoints),
    )
    both = CellRecords.joined([human, found])
    return both.take(np.argsort(both.cell_ids))


def _rows_of(records: CellRecords, ids: NDArray[np.uint32]) -> NDArray[np.intp]:
    order = np.argsort(records.cell_ids)
    return order[np.searchsorted(records.cell_ids[order], ids)]


def _with(column: NDArray[Any], rows: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[Any]:
    # Text columns are as wide as their longest entry: widen before the longer ones come in.
    changed = column.astype(np.result_type(column, values))
    changed[rows] = values
    return changed


def _found(relabelled: Relabelled, placement: Placement, provenance: Provenance) -> CellRecords:
    found = ~relabelled.is_human
    ids = relabelled.ids[found]
    # Numbered 1..n: ids of a long chain would make the tables of outlines long and empty.
    number = np.zeros(int(relabelled.ids.max(initial=0)) + 1, np.uint32)
    number[ids] = np.arange(1, len(ids) + 1)
    cells = number[relabelled.cells]
    rings = outline(cells, np.arange(1, len(ids) + 1, dtype=np.uint32))
    n = len(ids)
    return CellRecords(
        cell_ids=ids,
        boxes=placement.boxes_to_level0(boxes_of(cells, n)),
        polygons=Polygons(placement.to_level0(rings.values), rings.offsets),
        scores=relabelled.scores[found],
        origins=np.full(n, Origin.PSEUDO, np.uint8),
        annotation_ids=np.zeros(n, "<U1"),
        rounds=np.full(n, provenance.round, np.int32),
        stages=np.full(n, provenance.stage),
        checkpoints=np.full(n, provenance.checkpoint),
        votes=np.full(n, provenance.votes, np.int32),
        parents=relabelled.parents.take(found),
    )
