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
    from storage.labels.contract import RegionLabels
    from storage.labels.region import StoredRegion
    from storage.labels.writing import Site, Written
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
    from storage.block_work import hired
    from storage.detections import open_detections
    from storage.labels.store import LabelDraft, open_version
    from storage.regions import open_regions

    source, found = open_regions(work.at, regions), open_detections(work.at, detections)
    root, parent = open_version(work.at, annotated), open_version(work.at, previous)
    parameters = {
        RELABELLED: sorted(found.regions),
        "checkpoint": found.facts["checkpoint"],
        "merging": step.merging.model_dump(mode="json"),
    }
    with (
        LabelDraft(
            work.at, parent=previous, chain=step.chain, round=step.number, stage=step.arm,
            parameters=parameters,
        ) as draft,
        hired(work.dask) as workers,
    ):  # fmt: skip
        for region_id in set(parent.region_ids) - set(found.regions):
            draft.keep(region_id)
        alone = found.sent()
        jobs = (
            Merging(
                draft.site(one),
                source.info(one),
                root.region(one) if one in root.entries else None,
                alone,
                step,
            )
            for one in sorted(found.regions)
        )
        for done, (_, written) in enumerate(workers.each(merged, jobs), start=1):
            draft.take(written)
            work.progress(done, len(found.regions))
        return draft.commit()


@dataclass(frozen=True, slots=True)
class Merging:
    """One region to merge: all that a worker is sent."""

    site: Site
    info: RegionInfo
    root: StoredRegion | None
    """As a person drew it; None where nobody looked."""
    found: StoredDetections
    step: Step


def merged(job: Merging) -> Written:
    """Write one region of the next label version."""
    from storage.block_work import require_seen
    from storage.labels.room import room_for

    require_seen(job.site.workshop, job.found.folder)
    with room_for((job.info.height, job.info.width)):
        return job.site.write(_merge(job))


def _merge(job: Merging) -> RegionLabels:
    from models.merging.records import Provenance, next_records
    from models.merging.relabel import relabel as merge_region
    from storage.labels.contract import RegionLabels

    info, step = job.info, job.step
    masks, (previous, records) = job.found.masks(info.region_id), _before(job)
    inner = masks.inner.astype(np.float32) / np.float32(255)
    result = merge_region(masks.classes, inner, _human(job), previous, step.merging)
    provenance = Provenance(step.number, step.arm, job.found.facts["checkpoint"])
    following = next_records(result, records, info.placement, provenance)
    return RegionLabels(
        info.placement, result.classes, result.cells, following, result.next_cell_id
    )


def _before(job: Merging) -> tuple[Previous, CellRecords]:
    from models.merging.relabel import Previous

    parent = job.site.parent
    if parent is None:
        nothing = np.zeros((job.info.height, job.info.width), np.uint32)
        return Previous(nothing, 1), CellRecords.none()
    return Previous(np.asarray(parent.cells()[:]), parent.entry.next_cell_id), parent.records()


def _human(job: Merging) -> HumanCells:
    from models.merging.three_steps import HumanCells

    if job.root is None:
        shape = (job.info.height, job.info.width)
        return HumanCells(np.zeros(shape, np.uint8), np.zeros(shape, np.uint32))
    records = job.root.records()
    classes, cells = np.asarray(job.root.classes()[:]), np.asarray(job.root.cells()[:])
    return HumanCells.select(classes, cells, records.cell_ids[records.is_human])
