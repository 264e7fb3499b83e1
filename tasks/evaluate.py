"""What a network finds in the held-back regions, against both kinds of truth."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from models.annotations import Annotations, Role
from storage.checkpoints import save_card
from storage.layout import Kind, Ref
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.metrics.detection import Evaluation
    from models.metrics.matching import ImageCells
    from models.metrics.settings import EvaluationSettings
    from storage.detections import StoredDetections
    from storage.regions import RegionInfo, Regions
    from tasks.trial import Selection

GROUPS = ("organ", "site", "slide")
"""What the figures are taken apart by, where regions say it."""
NOT_SAID = "not stated"
"""The group of regions that do not say it."""


@stage(name="evaluate", version=2, makes=Kind.CARD)
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
    chosen = selection.of(source)
    results = {
        name: _figures(measure(images, settings, seed=selection.trial.seed))
        | _precision(images, settings)
        | {"groups": _apart(images, chosen, settings)}
        for name, images in images_by_truth(source, found, chosen).items()
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
    curve = result.curve.corners()
    return {
        **result.figures(),
        "froc_low": interval[0] if interval else None,
        "froc_high": interval[1] if interval else None,
        "ap_30": result.ap_30,
        "ap_50": result.ap_50,
        "n_slides": int((result.tally.n_truth > 0).sum()),
        "curve": {"fps": curve.fps.tolist(), "recall": curve.recall.tolist()},
    }


def _precision(images: Sequence[ImageCells], settings: EvaluationSettings) -> dict[str, Any]:
    """Return the precision-recall curve; None where an unmarked cell would count as an error."""
    from models.metrics.precision import precision_recall

    if not all(one.complete for one in images if one.role is Role.POSITIVE):
        return {"precision_recall": None}
    curve = precision_recall(images, settings.iou).corners()
    points = {"recall": curve.recall.tolist(), "precision": curve.precision.tolist()}
    return {"precision_recall": points}


def _apart(
    images: Sequence[ImageCells], chosen: Sequence[RegionInfo], settings: EvaluationSettings
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the figures of each organ, site and slide, by what regions name."""
    from models.metrics.groups import by_group

    found = {}
    for by in GROUPS:
        names = {info.region_id: _group(info, by) for info in chosen}
        if any(names.values()):
            said = {region_id: name or NOT_SAID for region_id, name in names.items()}
            groups = by_group(images, said, settings)
            found[by] = {name: _group_figures(asdict(one)) for name, one in groups.items()}
    return found


def _group(info: RegionInfo, by: str) -> str:
    return info.slide if by == "slide" else info.attributes.get(by, "")


def _group_figures(figures: dict[str, Any]) -> dict[str, Any]:
    recalls = {f"{point:g}": recall for point, recall in figures["froc_recalls"].items()}
    return figures | {"froc_recalls": recalls}
