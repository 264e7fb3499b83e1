"""Which of the things that a person drew are regions, and what each of them says."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from models.annotations import Role
from models.errors import AnnotationError, WrongUseError
from models.geometry.rings import without_repeats
from models.geometry.tiles import Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from storage.datasets.drawn import Drawn

STRAIGHT_PX = 0.05
"""How far a side of a rectangle may lean; QuPath rounds corners to 0.01 px."""
MINIMUM_SIDE_PX = 64
"""Of a region, in level-0 pixels: what is smaller is a cell whose class looks like a region's."""
MINIMUM_INSIDE = 0.5
"""The part of a region that must lie on the slide; else it is of another one."""


class Statement(StrEnum):
    """What a person says of a region."""

    COMPLETE = "complete"
    """Every cell in it is marked."""
    ANNOTATED = "annotated"
    """Cells in it are marked, not all of them."""
    NEGATIVE = "negative"
    """There is no cell in it."""
    UNLABELLED = "unlabelled"
    """Nobody looked for cells in it; it is learned from only by what networks find."""


ROLES = {
    Statement.COMPLETE: Role.POSITIVE,
    Statement.ANNOTATED: Role.POSITIVE,
    Statement.NEGATIVE: Role.NEGATIVE,
    Statement.UNLABELLED: Role.UNLABELLED,
}
NAMES: Mapping[Statement, tuple[str, ...]] = {
    Statement.COMPLETE: ("completely annotated", "complete", "region complete"),
    Statement.ANNOTATED: (
        "annotated", "partly annotated", "positive", "region annotated", "region positive",
    ),
    Statement.NEGATIVE: ("negative", "region negative"),
    Statement.UNLABELLED: ("unlabelled", "unlabeled", "region unlabelled"),
}  # fmt: skip
"""The classes or names of regions; case, spaces, ``_``, ``-`` and ``*`` do not matter."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle with what a person says of it."""

    id: str
    window: Window
    statement: Statement
    is_enclosing: bool = False
    """Whether the person drew something else, and this is the rectangle around it."""


class RegionNames:
    """Which classes or names make an annotation a region.

    Parameters
    ----------
    given : mapping, optional
        Names in place of the usual ones, by statement.

    Raises
    ------
    WrongUseError
        If one name is to say two things.
    """

    def __init__(self, given: Mapping[Statement, Sequence[str]] | None = None) -> None:
        self._statements: dict[str, Statement] = {}
        for statement, usual in NAMES.items():
            for name in (given or {}).get(statement) or usual:
                other = self._statements.setdefault(_folded(name), statement)
                if other is not statement:
                    raise WrongUseError(
                        f"The region class {name!r} is to mean {other} and {statement}. Give each "
                        f"class one meaning."
                    )

    def statement(self, class_name: str, name: str) -> Statement | None:
        """Return what an object says, None if it is no region.

        The name counts where the class says nothing: it is empty, or one that QuPath leaves out of
        measurements, such as Region*.
        """
        said = self._statements.get(_folded(class_name))
        if said is None and (not class_name or class_name.endswith("*")):
            said = self._statements.get(_folded(name)) if name else None
        return said


def _folded(name: str) -> str:
    return re.sub(r"[\s_*-]+", " ", name).strip().casefold()


def region_of(drawn: Drawn, statement: Statement, size: tuple[int, int]) -> Region:
    """Return an object as a region of a slide of that width and height.

    Regions are rectangles. Of any other outline the rectangle around it is taken if it says that
    cells are marked incompletely, which stays true; a statement on all of its tissue would not.

    Raises
    ------
    AnnotationError
        If it is too small, off the slide, or must be a rectangle and is none.
    """
    enclosing = not _is_rectangle(drawn)
    if enclosing and statement in {Statement.COMPLETE, Statement.NEGATIVE}:
        _refuse(
            f"a region that is {statement} must be an upright rectangle: what lies between its "
            f"outline and the rectangle around it would be called {statement} as well. Draw it "
            f"with the rectangle tool"
        )
    window = _window(drawn.box, size, outwards=enclosing)
    if min(window.width, window.height) < MINIMUM_SIDE_PX:
        _refuse(
            f"the region is {window.width} x {window.height} px, expected at least "
            f"{MINIMUM_SIDE_PX} a side. If it is a cell, its class {drawn.class_name!r} must not "
            f"be the one of {statement} regions"
        )
    return Region(drawn.id, window, statement, enclosing)


def _is_rectangle(drawn: Drawn) -> bool:
    """Return whether an object is a rectangle with upright sides."""
    if len(drawn.parts) != 1 or drawn.is_ellipse or drawn.has_holes:
        return False
    ring, box = without_repeats(drawn.parts[0]), drawn.box
    corners = np.array([[box[x], box[y]] for x, y in ((0, 1), (2, 1), (2, 3), (0, 3))])
    gaps = np.abs(ring[:, None] - corners[None]).max(axis=2)
    at_corner = gaps.min(axis=1) <= STRAIGHT_PX
    order = gaps.argmin(axis=1)[at_corner].tolist()
    on_side = np.minimum(np.abs(ring - box[:2]), np.abs(ring - box[2:])).min(axis=1) <= STRAIGHT_PX
    # One corner after the other, in whichever direction, and points along the sides between them.
    steps = {(after - one) % 4 for one, after in pairwise([*order, *order[:1]])}
    return len(order) == 4 and steps in ({1}, {3}) and bool(on_side.all())


def _window(box: NDArray[np.float64], size: tuple[int, int], *, outwards: bool) -> Window:
    """Return the whole pixels of a box that lie on the slide."""
    whole = Window(0, 0, *size)
    low, high = (math.floor, math.ceil) if outwards else (math.ceil, math.floor)
    lean = STRAIGHT_PX if outwards else -STRAIGHT_PX
    x0, y0 = (low(side + lean) for side in box[:2].tolist())
    x1, y1 = (high(side - lean) for side in box[2:].tolist())
    asked = Window(x0, y0, max(x0, x1), max(y0, y1))
    window = asked.clipped(whole)
    if window.width * window.height < MINIMUM_INSIDE * asked.width * asked.height:
        where = ", ".join(f"{side:g}" for side in box)
        _refuse(
            f"the region (x0, y0, x1, y1: {where}) lies mostly outside the slide of {size[0]} x "
            f"{size[1]} px; is it of another slide, or of a copy at another scale?"
        )
    return window


def _refuse(reason: str) -> NoReturn:
    raise AnnotationError(reason)
