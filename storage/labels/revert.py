"""Take back what a round, a network or an origin brought into the labels, and what grew from it.

The rest stays as it is: cells that are not taken back keep their pixels, records and ids.

- A found cell is *tainted* if what is taken back brought it in.
- In each later version a found cell is tainted if it is the tainted one (same id), or if it is new
  there and every cell that it grew from is tainted. One that also grew from an untainted cell, or
  from a person's, stays.
- A person's cell is never tainted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Origin, PixelClass, Ragged
from models.errors import WrongUseError
from storage.block_work import hired, require_seen
from storage.labels.log import ancestry
from storage.labels.room import room_for
from storage.labels.store import LabelDraft, open_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.annotations import CellRecords
    from models.runtime_settings import DaskSettings
    from storage.block_work import Workers
    from storage.labels.region import StoredRegion
    from storage.labels.store import LabelVersion
    from storage.labels.writing import Site, Written
    from storage.layout import Ref, Workspace

REVERT = "revert"


@dataclass(frozen=True, slots=True)
class What:
    """What is to be taken back: cells that agree with every part that is given."""

    round: int | None = None
    checkpoint: str | None = None
    """First digits of the digest of the network that found them."""
    origin: Origin | None = None
    stage: str | None = None
    """self, self_extra, cooperative."""

    def __post_init__(self) -> None:
        """Refuse to take back everything, or a person's cells."""
        if all(value is None for value in (self.round, self.checkpoint, self.origin, self.stage)):
            raise WrongUseError("say what to take back: a round, a checkpoint, an origin, a stage.")
        if self.origin is Origin.HUMAN:
            raise WrongUseError(
                "a person's cells are not taken back: only the person's review changes them "
                "(signetflow labels import)."
            )

    def brought(self, records: CellRecords) -> NDArray[np.bool_]:
        """Return which cells of a table it brought in, (n,)."""
        found = ~records.is_human
        if self.round is not None:
            found &= records.rounds == self.round
        if self.checkpoint is not None:
            found &= np.char.startswith(records.checkpoints.astype(str), self.checkpoint)
        if self.origin is not None:
            found &= records.origins == self.origin
        if self.stage is not None:
            found &= records.stages == self.stage
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what is given, as JSON."""
        said = {name: value for name, value in asdict(self).items() if value is not None}
        return said | ({"origin": self.origin.name.lower()} if self.origin is not None else {})


@dataclass(frozen=True, slots=True)
class Reverted:
    """What a revert did."""

    ref: Ref
    """The new version; the same as before where there was nothing to take back."""
    removed: dict[str, int]
    """Cells taken back, by region; regions without any are left out."""
    n_kept: int

    @property
    def n_removed(self) -> int:
        """Return how many cells were taken back."""
        return sum(self.removed.values())


def revert(
    at: Workspace,
    ref: Ref,
    what: What,
    progress: Callable[[int, int], None] | None = None,
    dask: DaskSettings | None = None,
) -> Reverted:
    """Commit a version without what is taken back and what grew from it.

    Parameters
    ----------
    at, ref, what
        The workspace, the version, and which of its cells.
    progress : callable, optional
        Called with how many regions were looked at and how many there are.
    dask : DaskSettings, optional
        The cluster that works on the regions; without it threads do. The result is the same.

    Raises
    ------
    NotFoundError
        If an ancestor of the version is gone: nobody can tell then what grew from what.
    OperationsError
        If the cluster cannot be used, or is lost.
    """
    line = [open_version(at, info.ref) for info in reversed(ancestry(at, ref))]
    version = line[-1]
    doomed = {}
    with hired(dask) as workers:
        suspects = (Suspect.of(line, region_id, what) for region_id in version.region_ids)
        for done, (suspect, found) in enumerate(workers.each(tainted, suspects), start=1):
            if len(found):
                doomed[suspect.region_id] = found
            if progress:
                progress(done, len(version.region_ids))
        n_cells = sum(version.info.n_cells.values())
        if not doomed:
            return Reverted(ref, {}, n_cells)
        made = _committed(at, version, doomed, what, workers)
    removed = {name: len(cells) for name, cells in doomed.items()}
    return Reverted(made, removed, n_cells - sum(removed.values()))


@dataclass(frozen=True, slots=True)
class Suspect:
    """One region in all versions of a line that have it, the oldest first."""

    region_id: str
    line: tuple[StoredRegion, ...]
    what: What

    @classmethod
    def of(cls, line: list[LabelVersion], region_id: str, what: What) -> Suspect:
        """Return a region of a line of versions."""
        having = (version for version in line if region_id in version.entries)
        return cls(region_id, tuple(version.region(region_id) for version in having), what)


def tainted(suspect: Suspect) -> NDArray[np.uint32]:
    """Return the ids of the cells of the last version of a line that are to go, in one region."""
    gone = np.zeros(0, np.uint32)
    known = np.zeros(0, np.uint32)
    before = ""
    for region in suspect.line:
        require_seen(region.folder)
        content = region.entry.content
        if content == before:
            continue  # kept as it was: its records speak of an earlier step
        before, records = content, region.records()
        gone = _next(gone, known, records, suspect.what)
        known = records.cell_ids
    return gone


def _next(
    gone: NDArray[np.uint32], known: NDArray[np.uint32], records: CellRecords, what: What
) -> NDArray[np.uint32]:
    is_new = ~np.isin(records.cell_ids, known)
    lengths = records.parents.lengths()
    rows = np.repeat(np.arange(len(records)), lengths)
    innocent = np.bincount(
        rows[~np.isin(records.parents.values, gone)], minlength=len(records)
    ).astype(bool)
    grew = is_new & (lengths > 0) & ~innocent
    is_gone = np.isin(records.cell_ids, gone) | grew | (is_new & what.brought(records))
    found: NDArray[np.uint32] = records.cell_ids[is_gone & ~records.is_human]
    return found


def _committed(
    at: Workspace,
    version: LabelVersion,
    doomed: dict[str, NDArray[np.uint32]],
    what: What,
    workers: Workers,
) -> Ref:
    info = version.info
    parameters = {"taken_back": what.to_json()}
    with LabelDraft(
        at, parent=info.ref, chain=info.chain, round=info.round, stage=REVERT, parameters=parameters
    ) as draft:
        for region_id in version.region_ids:
            if region_id not in doomed:
                draft.keep(region_id)
        jobs = (
            Erasing(draft.site(region_id), version.region(region_id), cells)
            for region_id, cells in doomed.items()
        )
        for _, written in workers.each(erased, jobs):
            draft.take(written)
        return draft.commit()


@dataclass(frozen=True, slots=True)
class Erasing:
    """One region that some cells are taken out of: all that a worker is sent."""

    site: Site
    region: StoredRegion
    gone: NDArray[np.uint32]
    """Ids of the cells."""


def erased(job: Erasing) -> Written:
    """Write one region without some of its cells."""
    require_seen(job.region.folder)
    with room_for(job.region.classes().shape):
        labels = job.region.labels()
        is_gone = np.isin(labels.cells, job.gone)
        labels.classes[is_gone] = PixelClass.BACKGROUND
        labels.cells[is_gone] = 0
        return job.site.write(replace(labels, records=_remaining(labels.records, job.gone)))


def _remaining(records: CellRecords, gone: NDArray[np.uint32]) -> CellRecords:
    """Return the records of the cells that stay, each grown from itself."""
    kept = records.take(~np.isin(records.cell_ids, gone))
    itself = Ragged(kept.cell_ids.astype(np.uint32), np.arange(len(kept) + 1, dtype=np.int64))
    return replace(kept, parents=itself)
