"""The same pieces of tissue round by round: what was annotated, found and added."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Polygons, Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from models.annotations import CellRecords
    from storage.labels.store import LabelVersion
    from storage.layout import Workspace
    from storage.regions import RegionInfo, Regions
    from storage.report.model import CropPanel, CropStory
    from tasks.evidence import ArmEvidence
    from tasks.report import ReportInputs

SIDE_PX = 192
"""Side of a crop, in working pixels."""
STORIES = 4
"""At most so many crops are shown: the page is for reading, the label versions for searching."""


def stories(at: Workspace, inputs: ReportInputs) -> list[CropStory]:
    """Return the rounds of self-training over the crops in which they added most."""
    from storage.regions import open_regions

    regions = open_regions(at, inputs.regions)
    chosen = [arm for arm in inputs.arms if arm.arm == "self"]
    each = max(1, STORIES // max(1, len(chosen)))
    drawn = (_of_arm(at, inputs, regions, arm) for arm in chosen[:STORIES])
    return [story for one in drawn for story in islice(one, each)]


def _of_arm(
    at: Workspace, inputs: ReportInputs, regions: Regions, arm: ArmEvidence
) -> Iterator[CropStory]:
    """Yield the crops of one arm, those in which it added most first; drawn when asked for."""
    from storage.labels.store import open_version

    first = open_version(at, inputs.annotated)
    versions = [first, *(open_version(at, one.labels) for one in arm.rounds)]
    last = versions[-1]
    grown = [
        (len(last.records(info.region_id)) - len(first.records(info.region_id)), info.region_id)
        for info in regions.infos
        if info.role is Role.POSITIVE and info.region_id in last.region_ids
    ]
    best = [region_id for growth, region_id in sorted(grown, reverse=True) if growth > 0]
    for name in best:
        yield _story(regions, regions.info(name), versions, arm)


def _story(
    regions: Regions, info: RegionInfo, versions: Sequence[LabelVersion], arm: ArmEvidence
) -> CropStory:
    from storage.report.model import CropStory

    tables = [version.records(info.region_id) for version in versions]
    y0, x0 = _corner(info, tables[-1])
    height, width = min(SIDE_PX, info.height - y0), min(SIDE_PX, info.width - x0)
    image = regions.read(info.region_id, y0, x0, height, width)
    crop = _Crop(regions, info, y0, x0)
    panels = [
        crop.panel(_title(number), table, tables[number - 1] if number else None)
        for number, table in enumerate(tables)
    ]
    caption = f"{info.region_id}, labels of {arm.model} ({arm.trial})"
    return CropStory(caption, image, tuple(panels))


def _title(number: int) -> str:
    return "as annotated" if number == 0 else f"round {number}"


def _corner(info: RegionInfo, records: CellRecords) -> tuple[int, int]:
    """Return the corner of the crop that holds most cells that nobody drew."""
    found = info.placement.boxes_to_working(records.take(~records.is_human).boxes)
    return densest(info, (found[:, :2] + found[:, 2:]) / 2, SIDE_PX)


def densest(info: RegionInfo, middles: NDArray[np.float64], side_px: int) -> tuple[int, int]:
    """Return y and x of the piece of a region that holds most of some cells.

    Parameters
    ----------
    info
        The region.
    middles : (n, 2) float64
        Of the cells, x and y in working pixels of the region.
    side_px
        Side of the piece; pieces are tried half of it apart.
    """
    step = side_px // 2
    corners = [
        (y, x)
        for y in range(0, max(1, info.height - side_px + 1), step)
        for x in range(0, max(1, info.width - side_px + 1), step)
    ]
    inside = [
        int(((middles >= [x, y]) & (middles < [x + side_px, y + side_px])).all(axis=1).sum())
        for y, x in corners
    ]
    return corners[int(np.argmax(inside))]


class _Crop:
    """One piece of a region, to draw label versions over."""

    def __init__(self, regions: Regions, info: RegionInfo, y0: int, x0: int) -> None:
        self.info = info
        self.corner = np.array([x0, y0], np.float64)
        truth = regions.truth(info.region_id)
        told = set(regions.annotations(info.region_id).ids.tolist())
        self.hidden: list[NDArray[np.float64]] = []
        if truth is not None:
            secret = truth.take(np.array([one not in told for one in truth.ids.tolist()], bool))
            self.hidden = [self._ellipse(box) for box in secret.boxes]

    def panel(self, title: str, now: CellRecords, before: CellRecords | None) -> CropPanel:
        """Return one moment: a person's cells, those found earlier, those added now."""
        from storage.report.model import CropPanel

        person = now.is_human
        known = np.isin(now.cell_ids, before.cell_ids) if before is not None else person
        return CropPanel(
            title,
            self._inside([self._ellipse(box) for box in now.take(person).boxes]),
            self._inside(self._rings(now.take(~person & known))),
            self._inside(self._rings(now.take(~person & ~known))),
            self._inside(self.hidden),
        )

    def _rings(self, records: CellRecords) -> list[NDArray[np.float64]]:
        rings = (records.polygons[row] for row in range(len(records)))
        return [self.info.placement.to_working(ring) - self.corner for ring in rings]

    def _ellipse(self, box: NDArray[np.float64]) -> NDArray[np.float64]:
        from models.geometry.rings import ellipse_ring

        return self.info.placement.to_working(ellipse_ring(box)) - self.corner

    def _inside(self, rings: list[NDArray[np.float64]]) -> Polygons:
        middle = [ring.mean(axis=0) if len(ring) else np.full(2, -1.0) for ring in rings]
        kept = [
            ring
            for ring, at in zip(rings, middle, strict=True)
            if (at >= 0).all() and (at < SIDE_PX).all()
        ]
        return Polygons.of_rings(kept)
