"""Slides become regions, and a person's annotations become label version 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.annotations import Role
from storage.layout import Kind, Ref
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from models.geometry.settings import EllipseSettings, TileSettings


@stage(name="extract", version=3, makes=Kind.REGIONS)
def extract(work: Work, *, dataset: Ref, tiles: TileSettings) -> Ref:
    """Cut the tissue of every slide into regions."""
    from storage.regions import extract_regions

    return extract_regions(work.at, dataset, tiles, work.progress, work.dask, work.parts)


@stage(name="annotate", version=1, makes=Kind.LABELS)
def annotate(work: Work, *, regions: Ref, ellipses: EllipseSettings) -> Ref:
    """Draw label version 0: the inscribed ellipse of each box that a person drew (Li, sec. 2.2)."""
    from models.geometry.masks import rasterise
    from models.merging.records import human_records
    from storage.labels.store import LabelDraft
    from storage.regions import open_regions

    source = open_regions(work.at, regions)
    known = [info for info in source.infos if info.role != Role.UNLABELLED]
    with LabelDraft(
        work.at, parent=None, chain="annotations", round=0, stage="ingest",
        parameters={"regions": regions.digest, "ellipses": ellipses.model_dump(mode="json")},
    ) as draft:  # fmt: skip
        for done, info in enumerate(known):
            work.progress(done, len(known))
            marked = source.annotations(info.region_id)
            boxes = info.placement.boxes_to_working(marked.boxes)
            classes, cells = rasterise(boxes, (info.height, info.width), ellipses)
            records = human_records(marked)
            draft.put(info.region_id, info.placement, classes, cells, records, len(marked) + 1)
        return draft.commit()
