"""What a network finds in the held-back regions, against both kinds of truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.annotations import Annotations, Role
from storage.checkpoints import save_card
from storage.layout import Kind, Ref
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from models.metrics.detection import Evaluation
    from models.metrics.matching import ImageCells
    from models.metrics.settings import EvaluationSettings
    from storage.detections import StoredDetections
    from storage.regions import RegionInfo, Regions
    from tasks.trial import Selection


@stage(name="evaluate", version=1, makes=Kind.CARD)
def evaluate(
    work: Work,
    *,
    regions: Ref,
    selection: Selection,
    detections: Ref,
    settings: EvaluationSettings,
) -> Ref:
    """Evaluate stored detections against partial labels, and complete truth where all know it."""
    from models.metrics.detection import evaluate as measure
    from storage.detections import open_detections
    from storage.regions import open_regions

    source, found = open_regions(work.at, regions), open_detections(work.at, detections)
    truths = images_by_truth(source, found, selection.of(source))
    results = {
        name: _figures(measure(images, settings, seed=selection.trial.seed))
        for name, images in truths.items()
    }
    return save_card(work.at, {"detections": detections.digest, "results": results})


def images_by_truth(
    source: Regions, found: StoredDetections, chosen: tuple[RegionInfo, ...]
) -> dict[str, list[ImageCells]]:
    """Return what is known and found as ``partial`` and, where every image has it, ``complete``."""
    images = {"partial": [_partial(source, found, info) for info in chosen]}
    if all(info.complete for info in chosen if info.role == Role.POSITIVE):
        images["complete"] = [_complete(source, found, info) for info in chosen]
    return images


def _partial(source: Regions, found: StoredDetections, info: RegionInfo) -> ImageCells:
    marked = source.annotations(info.region_id)
    return _image(found, info, marked, complete=info.role == Role.NEGATIVE)


def _complete(source: Regions, found: StoredDetections, info: RegionInfo) -> ImageCells:
    known = source.truth(info.region_id)
    # A negative region is free of the target by definition, whether or not its truth is stored.
    return _image(found, info, known if known is not None else Annotations.none(), complete=True)


def _image(
    found: StoredDetections, info: RegionInfo, truth: Annotations, *, complete: bool
) -> ImageCells:
    from models.metrics.matching import ImageCells

    cells = found.detections(info.region_id)
    return ImageCells(
        info.region_id, info.slide, info.role, complete, truth.boxes, cells.boxes, cells.scores
    )


def _figures(result: Evaluation) -> dict[str, Any]:
    interval = result.froc_interval
    return {
        **result.figures(),
        "froc_low": interval[0] if interval else None,
        "froc_high": interval[1] if interval else None,
        "ap_30": result.ap_30,
        "ap_50": result.ap_50,
        "curve": {"fps": result.curve.fps.tolist(), "recall": result.curve.recall.tolist()},
    }
