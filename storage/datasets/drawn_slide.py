"""All that a person drew on one slide: its regions, the cells in them, and what is left over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Annotations, Polygons, Role
from models.errors import AnnotationError
from models.geometry.tiles import Window
from storage.datasets.drawn import Cell, Drawn, Unusable, cell_of
from storage.datasets.drawn_regions import ROLES, Region, RegionNames, Statement, region_of
from storage.datasets.protocol import RefusedRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray


OUTSIDE = "cells outside every annotated region, not used"
NOT_COMPLETE = "complete regions that count as annotated: something refused may lie there"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made of the things on a slide."""

    class_names: tuple[str, ...] = ()
    """Of the cells, taken as one; none: every class that means no region. An empty name stands for
    objects without a class."""
    unclassified: bool = False
    """Whether every class is to mean those without one as well."""
    regions: RegionNames = field(default_factory=RegionNames)
    by_program: bool = False
    """Whether cells that a program found count as a person's marks."""
    role: Role | None = None
    """Of a slide on which no region is drawn; None: it is refused."""
    complete: bool = False
    """Whether all cells are marked on a slide without regions that is positive."""
    rest: Role | None = Role.UNLABELLED
    """Of tissue outside the regions; None: it is not used."""

    def takes(self, class_name: str, name: str = "") -> bool:
        """Return whether an object of that class is a cell that is asked for."""
        if not self.class_names:  # QuPath marks classes that do not count by a star
            return (class_name != "" or self.unclassified) and not class_name.endswith("*")
        return class_name in self.class_names or (name != "" and name in self.class_names)


@dataclass(frozen=True, slots=True)
class Known:
    """What a slide's annotations come to."""

    regions: tuple[Region, ...]
    """None of them shares a pixel with another."""
    cells: Annotations
    """Those with their centre in a positive region."""
    truth: Annotations | None
    """The cells in regions that are complete; None if there is no such region."""
    refused: tuple[RefusedRecord, ...]
    noticed: Mapping[str, int]
    """What was left out or mended for one reason, and how often."""
    classes: Mapping[str, int]
    """How many objects have each class, regions left out."""

    @property
    def truth_windows(self) -> tuple[Window, ...]:
        """Return where all cells are known."""
        sure = {Statement.COMPLETE, Statement.NEGATIVE}
        return tuple(one.window for one in self.regions if one.statement in sure)


def known_of(
    objects: Iterable[Drawn | Unusable], file_name: str, size: tuple[int, int], wanted: Wanted
) -> Known:
    """Return what is known of a slide of that width and height.

    Raises
    ------
    AnnotationError
        If the file is damaged, or contradicts itself: cells where there are said to be none, or
        none of the tissue was looked at.
    """
    sorting = _Sorting(file_name, size, wanted)
    for one in objects:
        sorting.add(one)
    return sorting.known()


class _Sorting:
    """Takes one object after the other, and keeps what matters of it."""

    def __init__(self, file_name: str, size: tuple[int, int], wanted: Wanted) -> None:
        self._file_name = file_name
        self._size = size
        self._wanted = wanted
        self._ids: set[str] = set()
        self._cells: list[Cell] = []
        self._regions: list[Region] = []
        self._lost_regions: list[str] = []
        self._refused: list[RefusedRecord] = []
        self._noticed: Counter[str] = Counter()
        self._doubts: list[NDArray[np.float64] | None] = []
        """Boxes of what may be a cell and cannot be used; None: it may be anywhere."""
        self._classes: Counter[str] = Counter()

    def add(self, one: Drawn | Unusable) -> None:
        """Take an object."""
        statement = self._wanted.regions.statement(one.class_name, one.name)
        if statement is None:
            self._classes[one.class_name] += 1
        if isinstance(one, Unusable):
            self._lose(one, statement)
        elif one.id in self._ids:
            self._refuse(one.id, "its id came before; ids must be unique in a file")
            self._doubts.append(one.box)
        else:
            self._ids.add(one.id)
            self._sort(one, statement)

    def _sort(self, one: Drawn, statement: Statement | None) -> None:
        if one.is_excluded:
            self._noticed["areas cut out of what is annotated, which regions cannot show"] += 1
            self._doubts.append(one.box)
        elif statement is not None and not one.by_program:
            self._add_region(one, statement)
        elif one.by_program and not self._wanted.by_program:
            if not one.class_name or self._wanted.takes(one.class_name, one.name):
                self._noticed["objects that a program found, not used (see --detections)"] += 1
        elif self._wanted.takes(one.class_name, one.name):
            self._add_cell(one)
        elif not one.class_name and not self._wanted.class_names:
            self._noticed["objects without a class, not used (--class '' takes them)"] += 1
            self._doubts.append(one.box)

    def _add_region(self, one: Drawn, statement: Statement) -> None:
        try:
            region = region_of(one, statement, self._size)
        except AnnotationError as error:
            self._lost_regions.append(f"{one.id}: {error}")
            self._refuse(one.id, str(error))
            return
        other = next((r for r in self._regions if r.window.intersects(region.window)), None)
        if other is not None:
            self._refuse(
                one.id,
                f"the {statement} region overlaps the {other.statement} region {other.id}; what "
                f"holds in both places cannot be told apart. Draw regions beside each other",
            )
            return
        if region.is_enclosing:
            self._noticed[f"{statement} regions taken as the rectangle around their outline"] += 1
        self._regions.append(region)

    def _add_cell(self, one: Drawn) -> None:
        try:
            cell = cell_of(one, self._size)
        except AnnotationError as error:
            self._refuse(one.id, str(error))
            self._doubts.append(one.box)
            return
        if cell.flaw:
            self._noticed[cell.flaw] += 1
        self._cells.append(cell)

    def _lose(self, one: Unusable, statement: Statement | None) -> None:
        asked = statement is not None or self._wanted.takes(one.class_name, one.name)
        if not one.is_mark or (one.class_name and not asked):
            self._noticed["objects that mark no cell and cannot be used"] += 1
            return
        self._refuse(one.id, one.reason)
        if statement is None:
            self._doubts.append(None)
        else:
            self._lost_regions.append(f"{one.id}: {one.reason}")

    def _refuse(self, object_id: str, reason: str) -> None:
        self._refused.append(RefusedRecord(f"{self._file_name}: {object_id}", reason))

    def known(self) -> Known:
        """Return what the objects come to."""
        regions = self._regions or self._whole()
        regions = [self._without_doubt(region) for region in regions]
        centres = _centres(self._cells)
        of_cell = np.full(len(self._cells), -1)
        for number, region in enumerate(regions):
            of_cell[region.window.contains(centres)] = number
        self._require_truth(regions, of_cell)
        said = np.array([one.statement for one in regions] + [""])[of_cell]
        positive = np.isin(said, [Statement.COMPLETE, Statement.ANNOTATED])
        if not positive.all():
            self._noticed[OUTSIDE] += int((~positive).sum())
        cells = _annotations(self._cells)
        complete = any(region.statement is Statement.COMPLETE for region in regions)
        nothing_else = regions and all(one.statement is Statement.NEGATIVE for one in regions)
        return Known(
            tuple(regions),
            cells.take(positive),
            cells.take(said == Statement.COMPLETE) if complete or nothing_else else None,
            tuple(self._refused),
            dict(self._noticed),
            dict(self._classes),
        )

    def _whole(self) -> list[Region]:
        """Return the region of a slide on which none is drawn."""
        role = self._wanted.role
        if lost := self._lost_regions:
            raise AnnotationError(f"none of its {len(lost)} regions can be used; {lost[0]}")
        if role is None:
            raise AnnotationError(
                f"no region is drawn that says which tissue was looked at, beside "
                f"{len(self._cells)} cells. Draw a rectangle around it with the class 'annotated', "
                f"'completely annotated' or 'negative', or give --role for slides without regions."
            )
        if role is not Role.POSITIVE:
            if self._cells:
                raise AnnotationError(
                    f"--role {role} is given for slides without regions, but {len(self._cells)} "
                    f"cells are drawn on this one. Draw regions, or give --role positive."
                )
            return []
        statement = Statement.COMPLETE if self._wanted.complete else Statement.ANNOTATED
        return [Region("", Window(0, 0, *self._size), statement)]

    def _without_doubt(self, region: Region) -> Region:
        """Return a region as it is, or as annotated where not all of its cells can be used."""
        if region.statement is not Statement.COMPLETE:
            return region
        if not any(one is None or _reaches(one, region.window) for one in self._doubts):
            return region
        self._noticed[NOT_COMPLETE] += 1
        return Region(region.id, region.window, Statement.ANNOTATED, region.is_enclosing)

    def _require_truth(self, regions: list[Region], of_cell: NDArray[np.int_]) -> None:
        """Refuse the slide if cells are drawn where the person said that there are none."""
        for number, region in enumerate(regions):
            inside = np.flatnonzero(of_cell == number)
            if region.statement is Statement.NEGATIVE and len(inside):
                raise AnnotationError(
                    f"the negative region {region.id} holds {len(inside)} cells, such as "
                    f"{self._cells[int(inside[0])].id}. Correct the class of the region, or delete "
                    f"the cells."
                )
        outside = np.flatnonzero(of_cell == -1)
        if self._wanted.rest is Role.NEGATIVE and len(outside):
            raise AnnotationError(
                f"--rest negative says that there is no cell outside the regions, but "
                f"{len(outside)} are drawn there, such as {self._cells[int(outside[0])].id}. Draw "
                f"a region around them, or give --rest unlabelled."
            )


def _reaches(box: NDArray[np.float64], window: Window) -> bool:
    x0, y0, x1, y1 = box.tolist()
    return bool(x0 < window.x1 and window.x0 < x1 and y0 < window.y1 and window.y0 < y1)


def _centres(cells: list[Cell]) -> NDArray[np.float64]:
    boxes = np.array([cell.box for cell in cells], np.float64).reshape(-1, 4)
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _annotations(cells: list[Cell]) -> Annotations:
    if not cells:
        return Annotations.none()
    return Annotations(
        np.array([cell.id for cell in cells]),
        np.stack([cell.box for cell in cells]),
        Polygons.of_rings([cell.ring for cell in cells]),
    )


def known_windows(known: Known) -> tuple[tuple[Window, Role], ...]:
    """Return the regions with what they mean for training."""
    return tuple((one.window, ROLES[one.statement]) for one in known.regions)
