"""Annotations dropped on purpose, to learn from few while all of them stay as truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.errors import WrongUseError
from storage.datasets.splits import hash_of

if TYPE_CHECKING:
    from models.annotations import Annotations


def hidden(annotations: Annotations, fraction: float, seed: int) -> Annotations:
    """Return the annotations without about `fraction` of them.

    Whether one is dropped depends on its id and the seed alone, so that of two fractions the larger
    drops all that the smaller drops.

    Raises
    ------
    WrongUseError
        If the fraction is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise WrongUseError(
            f"--hide {fraction}: expected a fraction from 0 (hide none) to below 1, such as 0.6."
        )
    if not fraction:
        return annotations
    draws = np.array([hash_of(seed, "hide", one) for one in annotations.ids.tolist()], np.float64)
    return annotations.take(draws >= fraction * 2.0**64)
