"""A network looks at regions: for the next labels, or to be evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.annotations import PixelClass
from storage.layout import Kind, Ref
from tasks.network import DetectorRecipe, load_detector
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from models.merging.settings import MergeSettings
    from models.methods.detector import Found
    from storage.detections import FoundMasks
    from tasks.trial import Selection


@stage(name="predict", version=3, makes=Kind.DETECTIONS)
def predict(
    work: Work,
    *,
    regions: Ref,
    selection: Selection,
    checkpoint: Ref,
    detector: DetectorRecipe,
    masks: MergeSettings | None,
) -> Ref:
    """Find cells in the selected regions.

    `masks` asks for the per-pixel classes that relabelling merges, above its threshold.
    """
    from storage.detections import DetectionDraft
    from storage.labelled import RegionBlocks
    from storage.regions import open_regions

    source = open_regions(work.at, regions)
    chosen = selection.of(source)
    ready = load_detector(work.at, detector, checkpoint)
    draft = DetectionDraft(work.at, work.parts)
    for done, info in enumerate(chosen):
        work.progress(done, len(chosen))
        if draft.keep(info.region_id):
            continue
        found = ready.find(RegionBlocks(source, info))
        kept = _masks(found, masks) if masks else None
        draft.put(info.region_id, found.in_level0(info.placement), kept)
    return draft.commit({"checkpoint": checkpoint.digest, "regions": regions.digest})


def _masks(found: Found, settings: MergeSettings) -> FoundMasks:
    from models.merging.three_steps import classify
    from storage.detections import FoundMasks

    classes = classify(found.probabilities, settings)
    is_cell = (classes == PixelClass.EDGE) | (classes == PixelClass.INNER)
    inner = np.where(is_cell, np.rint(found.probabilities[2] * 255), 0).astype(np.uint8)
    return FoundMasks(classes, inner)
