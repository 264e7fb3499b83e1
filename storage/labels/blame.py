"""Where one cell of a label version comes from: version by version, back to where it began.

A chain ends at what a person drew, or at what a network found: then checkpoint, threshold, score
and votes are known. It branches where cells merged.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import CellRecords, Origin
from models.errors import NotFoundError
from storage.labels.log import ancestry, model_name
from storage.labels.store import open_version
from storage.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storage.labels.schema import VersionInfo
    from storage.labels.store import LabelVersion
    from storage.layout import Ref, Workspace


@dataclass(frozen=True, slots=True)
class BlamedCell:
    """One cell of one version, and how it came out of the version before."""

    cell: int
    how: str
    """drawn, found, corrected, merged, split, renamed, moved or kept."""
    parents: tuple[int, ...]
    """Cells of the version before that it grew from, itself among them where it kept its id."""
    siblings: tuple[int, ...]
    """Other cells of its own version that grew from one of its parents."""
    drift_px: float | None
    """How far the middle of its box moved, in level-0 pixels; None where its id is new."""
    box: tuple[float, ...]
    """``x0, y0, x1, y1`` in level-0 pixels."""
    origin: str
    annotation_id: str
    score: float | None
    round: int
    """The round that brought the cell in."""
    stage: str
    """The stage that brought it in."""
    checkpoint: str
    """Digest of the network that brought it in, empty for a person's."""
    votes: int


@dataclass(frozen=True, slots=True)
class Step:
    """One version of the chain."""

    info: VersionInfo
    network: str
    """What the runs call the network whose predictions made the version; empty without one."""
    threshold: float | None
    """Above which a pixel became part of a cell."""
    configs: tuple[str, ...]
    """Digests of the configurations, with their dataset, whose runs asked for the version."""
    is_region_kept: bool
    """Whether the region was taken over from the version before as it was."""
    cells: tuple[BlamedCell, ...]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        info = self.info
        return {
            "version": info.digest, "parent": info.parent, "round": info.round, "arm": info.stage,
            "chain": info.chain, "created": info.created, "network": self.network,
            "checkpoint": checkpoint_of(info), "threshold": self.threshold,
            "configs": list(self.configs), "parameters": dict(info.parameters),
            "region_kept": self.is_region_kept, "cells": [asdict(one) for one in self.cells],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where the chain, or one branch of it, begins."""

    version: str
    cell: BlamedCell
    network: str
    threshold: float | None

    @property
    def is_human(self) -> bool:
        """Return whether a person drew it."""
        return self.cell.how == "drawn"

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        by = "person" if self.is_human else "network"
        named = {"network": self.network, "threshold": self.threshold}
        return {"by": by, "version": self.version, **named, **asdict(self.cell)}


@dataclass(frozen=True, slots=True)
class Blame:
    """The whole answer for one cell."""

    region: str
    cell: int
    steps: tuple[Step, ...]
    """The version that was asked about first, then back to the oldest beginning."""
    gone: str | None
    """Digest of an ancestor that was deleted: what came before it cannot be told."""

    @property
    def beginnings(self) -> tuple[Beginning, ...]:
        """Return where each branch begins, the youngest first."""
        return tuple(
            Beginning(step.info.digest, cell, step.network, step.threshold)
            for step in self.steps
            for cell in step.cells
            if not cell.parents
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "version": self.steps[0].info.digest,
            "region": self.region,
            "cell": self.cell,
            "beginnings": [one.to_json() for one in self.beginnings],
            "steps": [one.to_json() for one in self.steps],
            "gone": self.gone,
        }


def blame(at: Workspace, ref: Ref, region_id: str, cell: int) -> Blame:
    """Return where a cell comes from.

    Parameters
    ----------
    at, ref
        The workspace and the version.
    region_id : str
    cell : int
        The id of the cell; ids count within a region.

    Raises
    ------
    NotFoundError
        If the version has no such region, or the region no such cell.
    """
    line = ancestry(at, ref, complete=False)
    version = open_version(at, line[0].ref)
    younger = _Level(version, region_id, _kin(version, region_id, [cell]))
    if cell not in younger.records.cell_ids:
        raise NotFoundError(_no_such_cell(version, region_id, cell))
    asked, following = _Asked(at), {cell}
    steps: list[Step] = []
    for older_info in [*line[1:], None]:
        older = _before(at, older_info, younger, following)
        cells = tuple(younger.described(one, older) for one in sorted(following))
        steps.append(asked.step(younger, older, cells))
        following = {parent for one in cells for parent in one.parents}
        if older is None or not following:
            break
        younger = older
    reached_end = len(steps) == len(line)
    return Blame(region_id, cell, tuple(steps), line[-1].parent if reached_end else None)


def checkpoint_of(info: VersionInfo) -> str:
    """Return the digest of the network that looked at a version's regions, empty without one."""
    return str(info.parameters.get("checkpoint") or "")


def _kin(version: LabelVersion, region_id: str, cells: Iterable[int]) -> CellRecords:
    return version.kin(region_id, np.array([one for one in cells if 0 < one < 2**32], np.uint32))


def _no_such_cell(version: LabelVersion, region_id: str, cell: int) -> str:
    short, following = version.info.digest[:8], version.next_cell_id(region_id)
    known = "an earlier version may have it" if 0 < cell < following else "no version has it"
    return (
        f"version {short} has no cell {cell} in region {region_id} (its ids are below {following}; "
        f"{known}). Ask for a place instead: signetflow labels blame {short} --region {region_id} "
        f"--at x,y"
    )


def _before(
    at: Workspace, info: VersionInfo | None, younger: _Level, following: set[int]
) -> _Level | None:
    """Return what the version before holds of some cells and their parents."""
    version = open_version(at, info.ref) if info else None
    if version is None or younger.region not in version.entries:
        return None
    empty = _Level(version, younger.region, CellRecords.none())
    wanted = following
    if not younger.is_kept_from(empty):
        wanted = wanted.union(*(younger.recorded_parents(one) for one in following))
    return _Level(version, younger.region, _kin(version, younger.region, sorted(wanted)))


@dataclass(frozen=True, slots=True)
class _Level:
    """What one version holds of the cells of the chain, and of their siblings."""

    version: LabelVersion
    region: str
    records: CellRecords

    def is_kept_from(self, older: _Level | None) -> bool:
        """Return whether the region is as before: its table then speaks of an earlier step."""
        if older is None:
            return False
        mine, its = (one.version.entries[self.region].content for one in (self, older))
        return mine == its

    def row(self, cell: int) -> int | None:
        """Return where the record of a cell is."""
        rows = np.flatnonzero(self.records.cell_ids == cell)
        return int(rows[0]) if len(rows) else None

    def recorded_parents(self, cell: int) -> set[int]:
        """Return which cells its record names, whether or not they are there."""
        row = self.row(cell)
        return set() if row is None else set(self.records.parents[row].tolist())

    def parents(self, cell: int, older: _Level | None) -> set[int]:
        """Return which cells of the version before a cell grew from."""
        if older is None:
            return set()
        known = set() if self.is_kept_from(older) else self.recorded_parents(cell)
        # A cell that kept its id grew from itself, whatever was recorded.
        return (known | {cell}) & set(older.records.cell_ids.tolist())

    def described(self, cell: int, older: _Level | None) -> BlamedCell:
        """Return one cell and how it came out of the version before."""
        row = self.row(cell)
        if row is None:
            raise AssertionError(f"cell {cell} was read, and is not there")
        records, parents = self.records, self.parents(cell, older)
        siblings = () if self.is_kept_from(older) else self._siblings(cell, parents)
        score = float(records.scores[row])
        return BlamedCell(
            cell, self._how(row, parents, siblings, older), tuple(sorted(parents)), siblings,
            self._drift(row, older),
            box=tuple(records.boxes[row].tolist()),
            origin=Origin(int(records.origins[row])).name.lower(),
            annotation_id=str(records.annotation_ids[row]),
            score=None if np.isnan(score) else score,
            round=int(records.rounds[row]),
            stage=str(records.stages[row]),
            checkpoint=str(records.checkpoints[row]),
            votes=int(records.votes[row]),
        )  # fmt: skip

    def _siblings(self, cell: int, parents: set[int]) -> tuple[int, ...]:
        others = (one for one in self.records.cell_ids.tolist() if one != cell)
        return tuple(
            sorted(one for one in others if parents & (self.recorded_parents(one) | {one}))
        )

    def _how(
        self, row: int, parents: set[int], siblings: tuple[int, ...], older: _Level | None
    ) -> str:
        if older is None or not parents:
            return "drawn" if self.records.is_human[row] else "found"
        its = older.row(int(self.records.cell_ids[row]))
        if its is not None and self.records.is_human[row] and not older.records.is_human[its]:
            return "corrected"
        if len(parents) > 1 or siblings:
            return "merged" if len(parents) > 1 else "split"
        if its is None:
            return "renamed"
        return "moved" if self._drift(row, older) or self._resized(row, older, its) else "kept"

    def _resized(self, row: int, older: _Level, its: int) -> bool:
        return bool((self.records.boxes[row] != older.records.boxes[its]).any())

    def _drift(self, row: int, older: _Level | None) -> float | None:
        its = older.row(int(self.records.cell_ids[row])) if older else None
        if older is None or its is None:
            return None
        now, then = (
            (box[:2] + box[2:]) / 2 for box in (self.records.boxes[row], older.records.boxes[its])
        )
        return float(np.hypot(*(now - then)))


class _Asked:
    """Knows which configurations asked for a version, and what networks are called."""

    def __init__(self, at: Workspace) -> None:
        self._at = at
        self._ledger = Ledger(at)
        self._runs: dict[str, list[str]] = {}
        for run in reversed(self._ledger.runs()):
            for stage in self._ledger.stages_of(run.run_id):
                self._runs.setdefault(stage.key, []).append(run.run_id)

    def step(self, level: _Level, older: _Level | None, cells: tuple[BlamedCell, ...]) -> Step:
        """Return one version of the chain."""
        info = level.version.info
        merging = info.parameters.get("merging") or {}
        made = self._ledger.made(info.ref) if self._runs else None
        return Step(
            info,
            model_name(self._at, checkpoint_of(info)),
            merging.get("threshold"),
            tuple(self._runs.get(made.key, ())) if made else (),
            level.is_kept_from(older),
            cells,
        )
