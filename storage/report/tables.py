"""The tables of the page: arms beside their controls, groups of regions; never endless."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.report.model import ARMS, CONTROLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.report.model import ArmRow, Breakdown, GroupRow

MOST_ROWS = 240
"""Rows of the results that the page shows."""
WORST_GROUPS = 20
BEST_GROUPS = 5
"""Of slides, organs or sites with cells; and of those without."""
FEW_MORE = 5


@dataclass(frozen=True, slots=True)
class TableRow:
    """One arm with its control beside it."""

    row: ArmRow
    name: str
    control: ArmRow | None
    is_control: bool

    @property
    def gain(self) -> float | None:
        """FROC over that of the control."""
        return None if self.control is None else self.row.froc - self.control.froc

    @property
    def control_name(self) -> str:
        """Return what people read for the control."""
        return "" if self.control is None else arm_name(self.control.arm)


@dataclass(frozen=True, slots=True)
class TableGroup:
    """The arms of one network, fold, seed and kind of truth: what may be compared."""

    title: str
    truth: str
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """The groups of a breakdown that the page has room for."""

    title: str
    breakdown: Breakdown
    rows: tuple[GroupRow, ...]
    left_out: int


def arm_name(arm: str) -> str:
    """Return what people read for an arm."""
    return ARMS.get(arm, arm)


def in_order(arms: Sequence[str]) -> list[str]:
    """Return arms, each once, in the order of the method; unknown ones last."""
    return [*(arm for arm in ARMS if arm in arms), *(arm for arm in arms if arm not in ARMS)]


def furthest(arms: Sequence[str]) -> str:
    """Return the last arm in the order of the method that is no control, if there is one."""
    order = in_order(list(dict.fromkeys(arms)))
    methods = [arm for arm in order if not arm.endswith("_longer")]
    return (methods or order)[-1]


def table_groups(rows: Sequence[ArmRow]) -> list[TableGroup]:
    """Return the rows grouped by what may be compared; arms in the order of the method."""
    models = list(dict.fromkeys(row.model for row in rows))
    grouped: dict[tuple[str, int, int, str, str], dict[str, ArmRow]] = {}
    for row in rows:
        grouped.setdefault(row.group, {})[row.arm] = row
    groups = []
    for key in sorted(grouped, key=lambda key: (*key[:3], models.index(key[3]), key[4])):
        mode, fold, seed, model, truth = key
        arms = grouped[key]
        groups.append(
            TableGroup(
                f"{model}, {truth} truth ({mode} folds, fold {fold}, seed {seed})",
                truth,
                tuple(_table_row(arms, arm) for arm in in_order(list(arms))),
            )
        )
    return groups


def _table_row(arms: dict[str, ArmRow], arm: str) -> TableRow:
    control = arms.get(CONTROLS.get(arm, ""))
    return TableRow(arms[arm], arm_name(arm), control, arm.endswith("_longer"))


def within(groups: Sequence[TableGroup], most: int = MOST_ROWS) -> tuple[list[TableGroup], int]:
    """Return the groups that fit, complete truth first, and how many are left out."""
    order = sorted(range(len(groups)), key=lambda n: groups[n].truth != "complete")
    kept: set[int] = set()
    n_rows = 0
    for n in order:
        n_rows += len(groups[n].rows)
        if n_rows <= most or not kept:
            kept.add(n)
    return [groups[n] for n in sorted(kept)], len(groups) - len(kept)


def groups_shown(breakdown: Breakdown) -> Shown:
    """Return the worst groups and the best of the furthest arm; then those without cells."""
    with_cells = [row for row in breakdown.rows if row.n_truth]
    without = [row for row in breakdown.rows if not row.n_truth]
    place = breakdown.arms.index(furthest(breakdown.arms))
    with_cells.sort(key=lambda row: (_recall(row, place), row.name))
    without.sort(key=lambda row: (-_fps(row, place), row.name))
    rows = [*_ends(with_cells, WORST_GROUPS, BEST_GROUPS), *_ends(without, BEST_GROUPS, 0)]
    title = f"{breakdown.model}, {breakdown.truth} truth, {breakdown.mode} folds"
    return Shown(title, breakdown, tuple(rows), len(breakdown.rows) - len(rows))


def _ends(rows: list[GroupRow], first: int, last: int) -> list[GroupRow]:
    """Return the first and the last rows, or all where hardly any would be left out."""
    if len(rows) <= first + last + FEW_MORE:
        return rows
    return [*rows[:first], *rows[len(rows) - last :]]


def _recall(row: GroupRow, place: int) -> float:
    share = row.shares[place]
    return 0.0 if share is None or share.recall is None else share.recall


def _fps(row: GroupRow, place: int) -> float:
    share = row.shares[place]
    return 0.0 if share is None or share.fps is None else share.fps
