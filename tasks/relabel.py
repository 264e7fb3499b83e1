"""Confident predictions become the labels of the next round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import CellRecords
from storage.layout import Kind, Ref
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from models.merging.relabel import Previous
    from models.merging.settings import MergeSettings
    from models.merging.three_steps import HumanCells
    from storage.detections import StoredDetections
    from storage.labels.store import LabelDraft, LabelVersion
    from storage.regions import RegionInfo

RELABELLED = "relabelled"
"""The parameter of a version that lists the regions it changed or added."""


@dataclass(frozen=True, slots=True)
class Step:
    """Which step of which chain a new version is."""

    chain: str
    """Split, fold, seed, network and arm."""
    arm: str
    number: int
    """The round, from 1 on."""
    merging: MergeSettings


@stage(name="relabel", version=4, makes=Kind.LABELS)
def relabel(
    work: Work,
    *,
    regions: Ref,
    annotated: Ref,
    previous: Ref,
    detections: Ref,
    step: Step,
) -> Ref:
    """Commit the label version that follows `previous`; human cells come from `annotated`.

    Regions that were not predicted are taken over unchanged.
    """
    from storage.detections import open_detections
    from storage.labels.store import LabelDraft, open_version
    from storage.regions import open_regions

    source, found = open_regions(work.at, regions), open_detections(work.at, detections)
    root, parent = open_version(work.at, annotated), open_version(work.at, previous)
    with LabelDraft(
        work.at, parent=previous, chain=step.chain, round=step.number, stage=step.arm,
        parameters={
            RELABELLED: sorted(found.regions),
            "checkpoint": found.facts["checkpoint"],
            "merging": step.merging.model_dump(mode="json"),
        },
    ) as draft:  # fmt: skip
        for region_id in set(parent.region_ids) - set(found.regions):
            draft.keep(region_id)
        one = _Relabelling(root, parent, found, step)
        for done, region_id in enumerate(sorted(found.regions)):
            work.progress(done, len(found.regions))
            one.write(draft, source.info(region_id))
        return draft.commit()


@dataclass(frozen=True, slots=True)
class _Relabelling:
    root: LabelVersion
    parent: LabelVersion
    found: StoredDetections
    step: Step

    def write(self, draft: LabelDraft, info: RegionInfo) -> None:
        """Add one region of the next version to the draft."""
        from models.merging.records import Provenance, next_records
        from models.merging.relabel import relabel as merge_region

        masks, (previous, records) = self.found.masks(info.region_id), self._before(info)
        inner = masks.inner.astype(np.float32) / np.float32(255)
        human = self._human(info)
        result = merge_region(masks.classes, inner, human, previous, self.step.merging)
        provenance = Provenance(self.step.number, self.step.arm, self.found.facts["checkpoint"])
        following = next_records(result, records, info.placement, provenance)
        draft.put(
            info.region_id, info.placement, result.classes, result.cells, following,
            result.next_cell_id,
        )  # fmt: skip

    def _before(self, info: RegionInfo) -> tuple[Previous, CellRecords]:
        from models.merging.relabel import Previous

        if info.region_id not in self.parent.region_ids:
            nothing = np.zeros((info.height, info.width), np.uint32)
            return Previous(nothing, 1), CellRecords.none()
        cells = np.asarray(self.parent.cells(info.region_id)[:])
        following = self.parent.next_cell_id(info.region_id)
        return Previous(cells, following), self.parent.records(info.region_id)

    def _human(self, info: RegionInfo) -> HumanCells:
        from models.merging.three_steps import HumanCells

        if info.region_id not in self.root.region_ids:
            shape = (info.height, info.width)
            return HumanCells(np.zeros(shape, np.uint8), np.zeros(shape, np.uint32))
        records = self.root.records(info.region_id)
        classes = np.asarray(self.root.classes(info.region_id)[:])
        cells = np.asarray(self.root.cells(info.region_id)[:])
        return HumanCells.select(classes, cells, records.cell_ids[records.is_human])
