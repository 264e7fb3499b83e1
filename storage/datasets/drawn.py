"""What a person drew on a slide, whatever program wrote it down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from models.errors import AnnotationError
from models.geometry.rings import is_simple, run_along, without_repeats

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAXIMUM_OUTLINE_POINTS = 4_000
"""Of a cell; to look for crossings takes longer with the square of them."""
ROUNDING_PX = 1.0
"""Cells may reach this far out of their slide before they are an error: programs round."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One object: the outline of a cell, or of a region."""

    id: str
    """As the file has it; it follows from slide, class and points where the file has none."""
    class_name: str
    """Empty without a class."""
    name: str
    """What the person called this one object; empty mostly."""
    parts: tuple[NDArray[np.float64], ...]
    """The outer ring of each part, (k, 2) ``x, y`` in level-0 pixels, not closed."""
    is_ellipse: bool = False
    """Whether the points stand for the ellipse in their box."""
    has_holes: bool = False
    is_excluded: bool = False
    """Whether the person cut it out: what lies in it does not count."""
    by_program: bool = False
    """Whether a program found it: no person's mark."""

    @property
    def box(self) -> NDArray[np.float64]:
        """Return the box around all parts, (4,)."""
        return _box_of(np.concatenate(self.parts))

    def runs_along(self, ring: NDArray[np.float64], within: float) -> bool:
        """Return whether it is that outline (n, 2), but for what programs do when they save it."""
        if len(self.parts) != 1:
            return False
        if self.is_ellipse and len(ring):  # each program gives it points of its own
            return bool(np.abs(_box_of(ring) - self.box).max() <= within)
        return run_along(ring, self.parts[0], within)


def _box_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


@dataclass(frozen=True, slots=True)
class Unusable:
    """One object of which no outline could be read."""

    id: str
    """Or where it stands in the file, if it has no id."""
    class_name: str
    name: str
    reason: str
    is_mark: bool = True
    """Whether a person may have meant a cell by it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as annotations hold it."""

    id: str
    box: NDArray[np.float64]
    ring: NDArray[np.float64]
    """(k, 2); no points for an ellipse and where the outline cannot be used."""
    flaw: str = ""
    """What was left out of the outline, if anything, as a phrase in the plural."""


def cell_of(drawn: Drawn, size: tuple[int, int]) -> Cell:
    """Return an object as a cell of a slide of that width and height.

    The box is that of all points. An outline that meets itself is left out, holes are left out,
    and the flaw says so.

    Raises
    ------
    AnnotationError
        If it is no single area, or lies outside the slide.
    """
    if len(drawn.parts) != 1:
        _refuse(
            f"it has {len(drawn.parts)} separate parts, a cell has one. Split it in QuPath with "
            f"Objects > Annotations > Split annotations"
        )
    box = _inside(drawn.box, size)
    nothing = np.zeros((0, 2), np.float64)
    if drawn.is_ellipse:
        return Cell(drawn.id, box, nothing)
    flaw = "cells whose holes were filled" if drawn.has_holes else ""
    ring = without_repeats(np.clip(drawn.parts[0], 0, np.array(size, np.float64)))
    if len(ring) > MAXIMUM_OUTLINE_POINTS:
        flaw = f"outlines of more than {MAXIMUM_OUTLINE_POINTS} points, only their boxes used"
    elif not is_simple(ring):
        flaw = "outlines that cross or touch themselves, only their boxes used"
    else:
        return Cell(drawn.id, box, ring, flaw)
    return Cell(drawn.id, box, nothing, flaw)


def _inside(box: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return a box within the slide; what rounding moved out is cut."""
    if (box[2:] <= box[:2]).any():
        _refuse("it has no area")
    inside: NDArray[np.float64] = np.clip(box, 0, np.array([*size, *size], np.float64))
    if np.abs(box - inside).max() > ROUNDING_PX or (inside[2:] <= inside[:2]).any():
        where = ", ".join(f"{side:g}" for side in box)
        _refuse(
            f"it reaches out of the slide of {size[0]} x {size[1]} px (x0, y0, x1, y1: {where}); "
            f"is it of another slide, or of a copy at another scale?"
        )
    return inside


def _refuse(reason: str) -> NoReturn:
    raise AnnotationError(reason)
