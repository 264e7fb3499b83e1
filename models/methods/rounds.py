"""What one round did to the labels, and whether there should be another.

Li et al. 2019, sec. 2.3: rounds go on until the newly predicted mask stops to grow. The paper gives
no number; the reading here is in `StopSettings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import PixelClass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.methods.settings import StopSettings


@dataclass(frozen=True, slots=True)
class RegionChange:
    """How one region's labels differ between two versions; areas in working pixels."""

    inner_before: int
    """Inner pixels of cells that nobody drew, before."""
    inner_after: int
    foreground: int
    """Pixels that are a cell in either version."""
    changed: int
    """Pixels that are a cell in one version only."""
    pseudo_before: int
    """Cells that nobody drew, before."""
    pseudo_areas: NDArray[np.float64]
    """(n,) area of each cell that nobody drew, after."""
    human_areas: NDArray[np.float64]
    """(m,) area of each cell that a person drew, after."""

    @classmethod
    def between(
        cls, before: LabelledPixels, after: LabelledPixels, human_ids: NDArray[np.uint32]
    ) -> RegionChange:
        """Return the change of one region.

        Parameters
        ----------
        before, after
            Classes and cell ids of the same region in two versions.
        human_ids
            (m,) ids of the cells that a person drew; they are the same in both.
        """
        was, now = before.is_cell, after.is_cell
        ids, areas = np.unique(after.cells[after.cells > 0], return_counts=True)
        is_human = np.isin(ids, human_ids)
        return cls(
            before.pseudo_inner(human_ids),
            after.pseudo_inner(human_ids),
            int(np.count_nonzero(was | now)),
            int(np.count_nonzero(was ^ now)),
            int(np.setdiff1d(before.cells, np.append(human_ids, 0)).size),
            areas[~is_human].astype(np.float64),
            areas[is_human].astype(np.float64),
        )


@dataclass(frozen=True, slots=True)
class LabelledPixels:
    """The masks of one region in one version."""

    classes: NDArray[np.uint8]
    """(h, w), values of `PixelClass`."""
    cells: NDArray[np.uint32]
    """(h, w), cell ids, 0 for none."""

    @property
    def is_cell(self) -> NDArray[np.bool_]:
        """(h, w) whether a pixel is inner or edge of a cell."""
        mask: NDArray[np.bool_] = (self.classes == PixelClass.EDGE) | (
            self.classes == PixelClass.INNER
        )
        return mask

    def pseudo_inner(self, human_ids: NDArray[np.uint32]) -> int:
        """Return how many inner pixels belong to cells that nobody drew."""
        inner = self.cells[self.classes == PixelClass.INNER]
        return int(np.count_nonzero(~np.isin(inner, human_ids)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a round did, and what follows from it."""

    growth: float
    """Relative growth of the pseudo-labelled inner area; NaN where there was none before."""
    churn: float
    """Share of the foreground that changed, 0 to 1."""
    relative_area: float
    """Median area of a pseudo cell over that of an annotated cell; NaN without either."""
    goes_on: bool
    reason: str
    """Why the rounds go on or stop, as a sentence."""


def judge(changes: Sequence[RegionChange], round_number: int, settings: StopSettings) -> Verdict:
    """Return what a round did to the labels and whether to train on them.

    Parameters
    ----------
    changes
        One per region that was relabelled.
    round_number
        1 for the first round.
    settings
        The limits.
    """
    before = sum(change.inner_before for change in changes)
    after = sum(change.inner_after for change in changes)
    growth = (after - before) / before if before else float("nan")
    foreground = sum(change.foreground for change in changes)
    churn = sum(change.changed for change in changes) / foreground if foreground else 0.0
    area = _relative_area(changes)
    goes_on, reason = _decide(growth, churn, area, round_number, settings)
    return Verdict(growth, churn, area, goes_on, reason)


def _relative_area(changes: Sequence[RegionChange]) -> float:
    pseudo = np.concatenate([np.zeros(0), *(change.pseudo_areas for change in changes)])
    human = np.concatenate([np.zeros(0), *(change.human_areas for change in changes)])
    if not len(pseudo) or not len(human):
        return float("nan")
    return float(np.median(pseudo) / np.median(human))


def _decide(
    growth: float, churn: float, area: float, round_number: int, settings: StopSettings
) -> tuple[bool, str]:
    if round_number >= 2 and area > settings.largest_cell:
        return False, f"cells swell: {area:.2f} of an annotated one, limit {settings.largest_cell}"
    if round_number >= 2 and area < settings.smallest_cell:
        return False, (
            f"cells collapse: {area:.2f} of an annotated one, limit {settings.smallest_cell}"
        )
    # Every first round starts from no pseudo labels at all: it has no growth to judge.
    if round_number >= 2 and abs(growth) < settings.minimum_growth:
        return False, f"labels grew by {growth:.1%} only, limit {settings.minimum_growth:.0%}"
    if round_number >= 2 and churn < settings.minimum_churn:
        return False, f"labels changed by {churn:.1%} only, limit {settings.minimum_churn:.0%}"
    return True, "labels still change"
