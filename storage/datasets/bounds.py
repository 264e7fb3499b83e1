"""Boxes against the bounds of their image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ROUNDING_PX = 1.0
"""Boxes may reach this far out of their image before they are an error: exporters round."""
CUT = "boxes cut at the image's border, by at most a pixel"


@dataclass(frozen=True, slots=True)
class Bounded:
    """Boxes that were compared with their image."""

    boxes: NDArray[np.float64]
    """(n, 4) all of them, cut at the border."""
    wrong: Mapping[int, str]
    """Which of them cannot be, and why."""
    n_cut: int
    """How many of the others were cut."""


def bounded(boxes: NDArray[np.float64], size: tuple[int, int]) -> Bounded:
    """Return boxes cut at the border of their image.

    Parameters
    ----------
    boxes : (n, 4) float64
        ``x0, y0, x1, y1`` with finite numbers and a positive size.
    size
        Width and height of the image.
    """
    inside = np.clip(boxes, 0, np.array([*size, *size], np.float64))
    moved = np.abs(boxes - inside).max(axis=1, initial=0)
    # A box that rounding moved out is cut; one that lies elsewhere belongs to another image.
    wrong = (moved > ROUNDING_PX) | (inside[:, 2:] <= inside[:, :2]).any(axis=1)
    reason = (
        f"reaches out of the image of {size[0]} x {size[1]} px by more than {ROUNDING_PX:g} px; is "
        f"it of another image or scale?"
    )
    rows = np.flatnonzero(wrong).tolist()
    return Bounded(inside, dict.fromkeys(rows, reason), int(((moved > 0) & ~wrong).sum()))
