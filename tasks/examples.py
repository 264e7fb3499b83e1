"""The worst and the best pieces of tissue of the test part, with what was found and missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Polygons, Role
from tasks.crops import densest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.annotations import Annotations, Detections
    from models.metrics.settings import EvaluationSettings
    from storage.layout import Workspace
    from storage.regions import RegionInfo, Regions
    from storage.report.model import Example, FoundPanel
    from tasks.evidence import ArmEvidence
    from tasks.report import ReportInputs

SIDE_PX = 384
"""Side of a piece, in working pixels."""


_WORST = ("Worst", "Second worst")
_BEST = ("Best", "Second best")


@dataclass(frozen=True, slots=True)
class Cell:
    """One outline and what became of it."""

    kind: str
    """The field of `FoundPanel`."""
    ring: NDArray[np.float64]
    """(k, 2) working pixels of the region."""


def examples(at: Workspace, inputs: ReportInputs, settings: EvaluationSettings) -> list[Example]:
    """Return regions of the first trial in which the furthest arm of each network did worst, best.

    Beside it stands the first arm of the same network. Nothing of the choice goes anywhere but
    into the page.
    """
    from storage.regions import open_regions

    source = open_regions(at, inputs.regions)
    trial = inputs.arms[0].trial
    own = [arm for arm in inputs.arms if arm.trial == trial]
    shown = []
    for model in dict.fromkeys(arm.model for arm in own):
        seen = _sides([arm for arm in own if arm.model == model])
        views = [_View.of(at, source, arm, settings) for arm in seen]
        shown += [_example(source, info, why, views) for info, why in views[-1].chosen()]
    return shown


def _sides(arms: Sequence[ArmEvidence]) -> list[ArmEvidence]:
    """Return the first arm and the furthest, once if they are the same."""
    from storage.report.tables import furthest

    last = furthest([arm.arm for arm in arms])
    return [arms[0], *(arm for arm in arms[1:] if arm.arm == last)]


@dataclass(frozen=True)
class _View:
    """What one arm found in the test part."""

    title: str
    infos: tuple[RegionInfo, ...]
    cells: dict[str, list[Cell]]
    """Of each region."""
    complete: bool
    """Whether every cell of the positive regions is known."""

    @classmethod
    def of(
        cls, at: Workspace, source: Regions, arm: ArmEvidence, settings: EvaluationSettings
    ) -> _View:
        """Match what an arm found with what is known, region by region."""
        from storage.datasets.splits import Part
        from storage.detections import open_detections
        from storage.report.tables import arm_name
        from tasks.trial import ANNOTATED, Selection

        if arm.detections is None:
            raise AssertionError("a report is made of evaluated arms")
        infos = Selection(arm.trial, Part.TEST, ANNOTATED).of(source)
        complete = all(info.complete for info in infos if info.role == Role.POSITIVE)
        found = open_detections(at, arm.detections)
        cells = {
            info.region_id: _cells(
                info, _known(source, info, complete=complete), found.detections(info.region_id),
                settings.iou, complete=complete,
            )
            for info in infos
        }  # fmt: skip
        return cls(f"{arm_name(arm.arm)}, {arm.model}", infos, cells, complete)

    def chosen(self) -> list[tuple[RegionInfo, str]]:
        """Return the regions to show and why: the worst, the best, and tissue with false cells."""
        counted = [info for info in self.infos if self._n_known(info)]
        order = sorted(counted, key=lambda one: (-self._errors(one), one.region_id))
        worst = order[: min(len(_WORST), (len(order) + 1) // 2)]
        best = order[len(worst) :][::-1]
        normal = max(
            (info for info in self.infos if info.role == Role.NEGATIVE),
            key=lambda one: self._count(one, "false"),
            default=None,
        )
        of = f"of {len(order)} annotated region{'s' if len(order) > 1 else ''}"
        named = [(one, f"{place} {of}") for place, one in zip(_WORST, worst, strict=False)]
        named += [(one, f"{place} {of}") for place, one in zip(_BEST, best, strict=False)]
        if normal is not None and self._count(normal, "false"):
            named.append((normal, "Most false cells on normal tissue"))
        return named

    def _count(self, info: RegionInfo, *kinds: str) -> int:
        return sum(cell.kind in kinds for cell in self.cells[info.region_id])

    def _n_known(self, info: RegionInfo) -> int:
        return self._count(info, "hit", "missed") if info.role == Role.POSITIVE else 0

    def _errors(self, info: RegionInfo) -> float:
        wrong = self._count(info, "missed", "false")
        return wrong / (wrong + self._count(info, "hit"))


def _known(source: Regions, info: RegionInfo, *, complete: bool) -> Annotations:
    truth = source.truth(info.region_id) if complete else None
    return truth if truth is not None else source.annotations(info.region_id)


def _cells(
    info: RegionInfo, known: Annotations, found: Detections, iou: float, *, complete: bool
) -> list[Cell]:
    from models.metrics.matching import UNMATCHED, match_boxes

    matched = match_boxes(known.boxes, found.boxes, found.scores, iou)
    hit = matched != UNMATCHED
    missed = np.setdiff1d(np.arange(len(known)), matched[hit])
    # On partly annotated tissue nobody knows whether a detection without an annotation is false.
    rest = "false" if complete or info.role == Role.NEGATIVE else "unmarked"
    kinds = ["hit" if one else rest for one in hit.tolist()]
    cells = [Cell(kind, _ring(info, found, row)) for row, kind in enumerate(kinds)]
    return cells + [Cell("missed", _ring(info, known, row)) for row in missed.tolist()]


def _ring(info: RegionInfo, table: Annotations | Detections, row: int) -> NDArray[np.float64]:
    from models.geometry.rings import ellipse_ring

    drawn = table.polygons[row]
    return info.placement.to_working(drawn if len(drawn) > 2 else ellipse_ring(table.boxes[row]))


def _example(source: Regions, info: RegionInfo, why: str, views: Sequence[_View]) -> Example:
    from storage.report.model import Example

    kinds = ("hit",) if why.startswith(_BEST) else ("missed", "false")
    wanted = [one.ring for one in views[-1].cells[info.region_id] if one.kind in kinds]
    middles = np.array([ring.mean(axis=0) for ring in wanted], np.float64).reshape(-1, 2)
    y0, x0 = densest(info, middles, SIDE_PX)
    height, width = min(SIDE_PX, info.height - y0), min(SIDE_PX, info.width - x0)
    image = source.read(info.region_id, y0, x0, height, width)
    organ = info.attributes.get("organ")
    place = f"{info.region_id}{f' ({organ})' if organ else ''}"
    truth = "complete" if views[-1].complete or info.role == Role.NEGATIVE else "partial"
    panels = tuple(
        _panel(view.title, view.cells[info.region_id], (x0, y0), (width, height)) for view in views
    )
    return Example(f"{why}: {place}, {truth} truth", image, panels)


def _panel(
    title: str, cells: Sequence[Cell], origin: tuple[int, int], size: tuple[int, int]
) -> FoundPanel:
    from storage.report.model import FoundPanel

    kinds: dict[str, list[NDArray[np.float64]]] = {
        "hit": [], "missed": [], "false": [], "unmarked": [],
    }  # fmt: skip
    for cell in cells:
        ring = cell.ring - np.asarray(origin, np.float64)
        middle = ring.mean(axis=0)
        if (middle >= 0).all() and (middle < size).all():
            kinds[cell.kind].append(ring)
    return FoundPanel(title, **{name: Polygons.of_rings(rings) for name, rings in kinds.items()})
