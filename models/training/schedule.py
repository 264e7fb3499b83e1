"""The learning rate of each step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.training.settings import TrainingSettings

_RISE = 0.3
_START = 1 / 25
_END = 1e-4
"""Of the highest rate, at the first and at the last step of one cycle (Smith and Topin, 2018)."""


def learning_rate(settings: TrainingSettings, step: int, n_steps: int) -> float:
    """Return the rate of a step, counted from 0, of ``n_steps``."""
    if settings.schedule == "constant":
        return settings.learning_rate
    done = step / max(n_steps - 1, 1)
    if done < _RISE:
        factor = _between(_START, 1.0, done / _RISE)
    else:
        factor = _between(1.0, _END, (done - _RISE) / (1 - _RISE))
    return settings.learning_rate * factor


def _between(start: float, end: float, done: float) -> float:
    """Return the point of half a cosine from start (done 0) to end (done 1)."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
