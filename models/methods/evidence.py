"""What the rounds of an arm show together: which one to keep, and whether they go wrong.

A network that learns from its own mistakes grows surer of them. Li et al. 2019, table 1, hard mode:
while a network labelled unannotated tissue for itself, false positives on normal regions went from
0.202 to 1.18 to 4.62, and recall fell (self_extra).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.methods.settings import AlarmSettings


@dataclass(frozen=True, slots=True)
class Measured:
    """What validation, by partial labels, says of a network after one round."""

    froc: float
    """NaN where there is nothing to validate on."""
    recall: float
    fps: float
    """False positives per normal region; NaN without such regions."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which round is kept, and why."""

    kept: int
    """Index of the round."""
    reason: str


def confirmation_bias(before: Measured, after: Measured, settings: AlarmSettings) -> str:
    """Return a sentence if false positives rise while recall stalls; else nothing.

    The sign of a network that confirms itself: it marks more and more normal tissue and finds no
    more cells for it. Where either is unknown nothing is said.
    """
    risen = after.fps - before.fps
    stalled = after.recall - before.recall < settings.recall_gain
    many = risen >= settings.fps_rise and after.fps >= settings.fps_factor * before.fps
    if not (many and stalled):
        return ""
    return (
        f"confirmation bias: false positives on normal regions rose from {before.fps:.2f} to "
        f"{after.fps:.2f} per region, recall only from {before.recall:.3f} to {after.recall:.3f}"
    )


def choose(scores: Sequence[float], margin: float) -> Choice:
    """Return which round to keep: the last that is not clearly worse than the best.

    Partial labels are few and easy cells: they show that a round went wrong, not which of two good
    rounds is better. Rolling back therefore needs a loss of more than `margin`.

    Parameters
    ----------
    scores
        Validation FROC of each round; NaN (nothing to validate on) loses to any other score, and
        all NaN keeps the last round.
    margin
        How far below the highest score a round still counts as equally good.
    """
    values = np.asarray(scores, np.float64)
    last = len(values) - 1
    if np.isnan(values).all():
        return Choice(last, "the last round: there is nothing to validate on")
    best = float(np.nanmax(values))
    kept = int(np.flatnonzero(values >= best - margin)[-1])
    if kept == last:
        below = f"{best - values[kept]:.3f} below the best, at most {margin:g} is allowed"
        return Choice(kept, f"the last round: validation FROC {values[kept]:.3f}, {below}")
    lost = values[last]
    score = "unknown" if math.isnan(lost) else f"{lost:.3f}"
    return Choice(
        kept,
        f"rolled back: validation FROC of the last round is {score}, the best had {best:.3f}, "
        f"more than {margin:g} above",
    )
