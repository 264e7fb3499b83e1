"""How two label versions are related, and which of their cells come from which.

Cell ids name one cell within a line of descent, and every version records for each cell the cells
of its parent version that it grew from. What lies several versions apart is found by going through
them one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from storage.labels.log import ancestry
from storage.labels.store import open_version
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.annotations import CellRecords, Ragged
    from storage.labels.store import LabelVersion

RelationKind = Literal["same", "descendant", "ancestor", "cousin", "unrelated"]


@dataclass(frozen=True, slots=True)
class Relation:
    """What the second of two versions is to the first."""

    kind: RelationKind
    common: str | None
    """Digest of the youngest version that both grew from, or are."""
    line: tuple[LabelVersion, ...]
    """From the older to the younger, both included, where one grew from the other."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        steps = len(self.line) - 1 if self.line else None
        return {"kind": self.kind, "common": self.common, "versions_apart": steps}


def relate(at: Workspace, first: LabelVersion, second: LabelVersion) -> Relation:
    """Return what the second version is to the first."""
    if first.info.digest == second.info.digest:
        return Relation("same", first.info.digest, (first,))
    up_first, up_second = _upwards(at, first), _upwards(at, second)
    common = next((digest for digest in up_second if digest in set(up_first)), None)
    if common == first.info.digest:
        return Relation("descendant", common, _line(at, first, second, up_second))
    if common == second.info.digest:
        return Relation("ancestor", common, _line(at, second, first, up_first))
    return Relation("cousin" if common else "unrelated", common, ())


def _upwards(at: Workspace, version: LabelVersion) -> list[str]:
    return [info.digest for info in ancestry(at, version.info.ref, complete=False)]


def _line(
    at: Workspace, older: LabelVersion, younger: LabelVersion, upwards: list[str]
) -> tuple[LabelVersion, ...]:
    between = reversed(upwards[1 : upwards.index(older.info.digest)])
    opened = (open_version(at, Ref(Kind.LABELS, digest)) for digest in between)
    return (older, *opened, younger)


@dataclass(frozen=True, slots=True)
class Descent:
    """Which cells of a younger version grew from which of an older one."""

    older: NDArray[np.uint32]
    """(k,) ids in the older version."""
    younger: NDArray[np.uint32]
    """(k,) ids in the younger version."""

    def turned(self) -> Descent:
        """Return the same pairs seen from the other version."""
        return Descent(self.younger, self.older)


def descent(
    line: tuple[LabelVersion, ...], region_id: str, read: Mapping[str, CellRecords] | None = None
) -> Descent:
    """Return which cells of the last version of a line grew from which of its first, in one region.

    A cell comes from itself where it kept its id, and from all its recorded parents.

    Parameters
    ----------
    line
        From `Relation.line`.
    region_id : str
    read : dict, optional
        Records of the region that were read already, by the digest of the version.
    """
    tables = read or {}
    ids, _ = _parents(line[0], region_id, tables)
    found = Descent(ids, ids)
    for before, after in pairwise(line):
        if region_id not in after.entries:
            nothing = np.zeros(0, np.uint32)
            return Descent(nothing, nothing)
        # A region that was kept still names the parents that it had when it was written.
        if before.entries[region_id].content != after.entries[region_id].content:
            cells = _parents(after, region_id, tables)
            found = _next(found, *cells, first_new=before.next_cell_id(region_id))
    return found


def _parents(
    version: LabelVersion, region_id: str, tables: Mapping[str, CellRecords]
) -> tuple[NDArray[np.uint32], Ragged]:
    records = tables.get(version.info.digest)
    return (records.cell_ids, records.parents) if records else version.parents(region_id)


def _next(found: Descent, ids: NDArray[np.uint32], parents: Ragged, *, first_new: int) -> Descent:
    kept = ids[ids < first_new]
    older = np.concatenate([parents.values, kept])
    younger = np.concatenate([np.repeat(ids, parents.lengths()), kept])
    order = np.argsort(older, kind="stable")
    begin = np.searchsorted(older[order], found.younger, side="left")
    counts = np.searchsorted(older[order], found.younger, side="right") - begin
    within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    pairs = np.stack(
        [np.repeat(found.older, counts), younger[order[np.repeat(begin, counts) + within]]]
    )
    unique = unique_pairs(pairs).astype(np.uint32)
    return Descent(unique[0], unique[1])


def regions_behind(at: Workspace, version: LabelVersion) -> Ref | None:
    """Return the regions that a version labels; None if no version it grew from names them."""
    for info in ancestry(at, version.info.ref, complete=False):
        digest = info.parameters.get("regions")
        if isinstance(digest, str) and at.path(Ref(Kind.REGIONS, digest)).is_dir():
            return Ref(Kind.REGIONS, digest)
    return None


def unique_pairs(pairs: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return the pairs (2, k) of numbers from 0 to 2**31, each once; rows of whole numbers."""
    joined = np.unique(pairs[0].astype(np.int64) << 32 | pairs[1].astype(np.int64))
    return np.stack([joined >> 32, joined & 0xFFFFFFFF]).astype(np.intp)
