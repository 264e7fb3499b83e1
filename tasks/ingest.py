"""Slides become regions, and a person's annotations become label version 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.annotations import Role
from storage.layout import Kind, Ref
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from models.annotations import Annotations
    from models.geometry.settings import EllipseSettings, TileSettings
    from storage.labels.writing import Site, Written
    from storage.regions import RegionInfo


@stage(name="extract", version=3, makes=Kind.REGIONS)
def extract(work: Work, *, dataset: Ref, tiles: TileSettings) -> Ref:
    """Cut the tissue of every slide into regions."""
    from storage.regions import extract_regions

    return extract_regions(work.at, dataset, tiles, work.progress, work.dask, work.parts)


@stage(name="annotate", version=1, makes=Kind.LABELS)
def annotate(work: Work, *, regions: Ref, ellipses: EllipseSettings) -> Ref:
    """Draw label version 0: the inscribed ellipse of each box that a person drew (Li, sec. 2.2)."""
    from storage.block_work import hired
    from storage.labels.store import LabelDraft
    from storage.regions import open_regions

    source = open_regions(work.at, regions)
    known = [info for info in source.infos if info.role != Role.UNLABELLED]
    parameters = {"regions": regions.digest, "ellipses": ellipses.model_dump(mode="json")}
    with (
        LabelDraft(
            work.at, parent=None, chain="annotations", round=0, stage="ingest",
            parameters=parameters,
        ) as draft,
        hired(work.dask) as workers,
    ):  # fmt: skip
        jobs = (
            Drawing(draft.site(info.region_id), info, source.annotations(info.region_id), ellipses)
            for info in known
        )
        for done, (_, written) in enumerate(workers.each(drawn, jobs), start=1):
            draft.take(written)
            work.progress(done, len(known))
        return draft.commit()


@dataclass(frozen=True, slots=True)
class Drawing:
    """One region to draw: all that a worker is sent."""

    site: Site
    info: RegionInfo
    marked: Annotations
    """In level-0 pixels."""
    ellipses: EllipseSettings


def drawn(job: Drawing) -> Written:
    """Write one region of label version 0."""
    from models.geometry.masks import rasterise
    from models.merging.records import human_records
    from storage.labels.contract import RegionLabels
    from storage.labels.room import room_for

    place, marked, shape = job.info.placement, job.marked, (job.info.height, job.info.width)
    with room_for(shape):
        classes, cells = rasterise(place.boxes_to_working(marked.boxes), shape, job.ellipses)
        records = human_records(marked)
        return job.site.write(
            RegionLabels(place, classes, cells, records, next_cell_id=len(marked) + 1)
        )
