"""One region of a label version with what a person corrected: work that may be done anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import CellRecords, Origin, Polygons, Ragged
from models.geometry.redraw import Outlined, draw_review
from storage.block_work import require_seen
from storage.labels.contract import RegionLabels
from storage.labels.room import room_for

if TYPE_CHECKING:
    from models.geometry.settings import EllipseSettings
    from storage.datasets.drawn import Drawn
    from storage.labels.region import StoredRegion
    from storage.labels.writing import Site, Written


@dataclass(slots=True)
class Edits:
    """What a person changed in one region."""

    drawn: list[Drawn] = field(default_factory=list)
    """New cells."""
    moved: dict[int, Drawn] = field(default_factory=dict)
    """New outlines of known cells, by cell id."""
    removed: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Redrawing:
    """One region to correct: all that a worker is sent."""

    site: Site
    region: StoredRegion
    edits: Edits
    ellipses: EllipseSettings


@dataclass(frozen=True, slots=True)
class Redrawn:
    """What became of a person's corrections."""

    written: Written
    drawn: tuple[int, ...]
    """Ids of the cells that the person drew or moved."""
    hidden: tuple[str, ...]
    """Names of the objects that lie in another person's cell."""
    n_covered: int
    """Found cells that gave all their pixels to what the person drew."""


def redrawn(job: Redrawing) -> Redrawn:
    """Write one region with what a person corrected."""
    require_seen(job.region.folder)
    with room_for(job.region.classes().shape):
        return _redrawn(job)


def _redrawn(job: Redrawing) -> Redrawn:
    labels, one = job.region.labels(), job.edits
    place, following, records = labels.placement, labels.next_cell_id, labels.records
    named = one.moved | dict(enumerate(one.drawn, start=following))
    outlined = [Outlined(cell, place.to_working(each.parts[0])) for cell, each in named.items()]
    human = records.cell_ids[records.is_human]
    protected = np.setdiff1d(human, [*named, *one.removed]).tolist()
    masks = labels.classes, labels.cells
    result = draw_review(masks, outlined, one.removed, protected, job.ellipses)
    kept = records.take(~np.isin(records.cell_ids, [*named, *one.removed, *result.covered]))
    itself = Ragged(kept.cell_ids.astype(np.uint32), np.arange(len(kept) + 1, dtype=np.int64))
    drawn = {cell: each for cell, each in named.items() if cell not in result.hidden}
    both = CellRecords.joined([replace(kept, parents=itself), _human(drawn, records)])
    written = job.site.write(
        RegionLabels(
            place, result.classes, result.cells, both.take(np.argsort(both.cell_ids)),
            following + len(one.drawn),
        )
    )  # fmt: skip
    hidden = tuple(named[cell].id for cell in result.hidden)
    return Redrawn(written, tuple(drawn), hidden, len(result.covered))


def _human(drawn: dict[int, Drawn], before: CellRecords) -> CellRecords:
    """Return the records of what a person drew; a known cell grew from itself."""
    ids = np.array(sorted(drawn), np.uint32)
    known = np.isin(ids, before.cell_ids)
    parents = [ids[row : row + 1] if known[row] else ids[:0] for row in range(len(ids))]
    found = [drawn[int(cell)] for cell in ids]
    n = len(ids)
    return CellRecords(
        cell_ids=ids,
        boxes=np.array([one.box for one in found], np.float64).reshape(-1, 4),
        polygons=Polygons.of_rings([one.parts[0] for one in found]),
        scores=np.full(n, np.nan),
        origins=np.full(n, Origin.HUMAN, np.uint8),
        annotation_ids=np.array([one.id for one in found], np.str_),
        rounds=np.zeros(n, np.int32),
        stages=np.full(n, "import"),
        checkpoints=np.zeros(n, "<U1"),
        votes=np.zeros(n, np.int32),
        parents=Ragged.of(parents, np.zeros(0, np.uint32)),
    )
