"""One trial: which split, which fold is held back, which seed; and the regions it may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.annotations import Role
from models.errors import InputError
from storage.datasets.splits import Mode, Part, parts, require, require_every_part

if TYPE_CHECKING:
    from storage.layout import Ref, Workspace
    from storage.regions import RegionInfo, Regions

ANNOTATED = (Role.POSITIVE, Role.NEGATIVE)
"""Regions of which a person said something; evaluation and validation need that."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One split, fold and seed."""

    split: Mode
    fold: int
    seed: int

    def __str__(self) -> str:
        return f"{self.split} fold {self.fold} seed {self.seed}"

    @property
    def chain(self) -> str:
        """Return the trial as the beginning of a label chain's name."""
        return f"{self.split}/fold{self.fold}/seed{self.seed}"


@dataclass(frozen=True, slots=True)
class Selection:
    """The regions of one part of a trial's split that have one of some roles."""

    trial: Trial
    part: Part
    roles: tuple[Role, ...]

    def of(self, source: Regions) -> tuple[RegionInfo, ...]:
        """Return the regions, in a fixed order.

        Raises
        ------
        InputError
            If a part of the split is empty.
        LeakError
            If a region that is returned belongs to another part.
        """
        split, fold = self.trial.split, self.trial.fold
        part_of = parts(source.infos, split, fold)
        known = (info.region_id for info in source.infos if info.role in ANNOTATED)
        require_every_part({region_id: part_of[region_id] for region_id in known}, split, fold)
        chosen = tuple(
            info
            for info in sorted(source.infos, key=lambda one: one.region_id)
            if info.role in self.roles and part_of[info.region_id] == self.part
        )
        ids = [info.region_id for info in chosen]
        require(source.infos, ids, allowed={self.part}, mode=split, fold=fold)
        return chosen


def require_cells(at: Workspace, regions: Ref, trial: Trial) -> None:
    """Prove, before hours of training, that every part of a trial has an annotated cell.

    Raises
    ------
    InputError
        If one has none: there would be nothing to learn, to select by or to measure.
    """
    from storage.regions import open_regions

    source = open_regions(at, regions)
    for part in Part:
        positive = Selection(trial, part, (Role.POSITIVE,)).of(source)
        if not any(len(source.annotations(info.region_id)) for info in positive):
            raise InputError(
                f"{trial}: no annotated cell in the {part} part, which has {len(positive)} "
                f"positive regions. Add annotated images, hide fewer annotations, ingest with a "
                f"finer grouping, or use splits: [easy]."
            )
