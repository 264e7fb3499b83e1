"""Label versions for other tools: GeoJSON for QuPath, COCO for everything else.

All coordinates are level-0 pixels of the slide or image.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Origin
from models.geometry.rings import ring_area
from storage.geojson import (
    cell_name,
    drawable,
    feature,
    geojson_name,
    id_of,
    new_file,
    write_features,
    write_list,
)
from storage.labels.export_regions import Ground, extent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.annotations import CellRecords
    from storage.geojson import Outline
    from storage.labels.store import LabelVersion

COCO_FILE = "annotations_coco.json"
COLOURS = {
    Origin.HUMAN: [0, 160, 0],
    Origin.WEAK: [0, 120, 220],
    Origin.PSEUDO: [230, 120, 0],
    Origin.CORRECTED: [150, 0, 200],
}
"""Red, green, blue of each origin in QuPath."""
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    files: tuple[Path, ...]
    n_cells: int


@dataclass(frozen=True, slots=True)
class ExportedCell:
    """One cell as both formats describe it."""

    region_id: str
    cell_id: int
    box: list[float]
    outline: Outline
    score: float | None
    origin: Origin
    annotation_id: str
    round: int
    stage: str
    checkpoint: str
    votes: int


def export_geojson(
    version: LabelVersion,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    ground: Ground | None = None,
    compressed: bool = False,
) -> Exported:
    """Write one GeoJSON file per slide, to drop onto the slide in QuPath.

    A person's cell keeps the id that it had in QuPath. All other ids follow from region and cell
    id, so that a file that comes back reviewed can be matched by id. A cell without a usable
    outline is drawn as the ellipse of its box. The regions are drawn as well, locked.

    Parameters
    ----------
    version, folder
        What is written, and where to.
    progress
        Called with the number of regions done and their total.
    ground
        What is known of the regions, from `Ground.of`.
    compressed
        Whether the files are ``.geojson.gz``.

    Raises
    ------
    WrongUseError
        If a file is already there.
    """
    n_cells, done, files = 0, 0, []
    for slide, region_ids in _slides(version).items():
        path = new_file(folder, geojson_name(slide, compressed=compressed))
        n_cells += write_features(path, _features(version, region_ids, ground or Ground())) - len(
            region_ids
        )
        files.append(path)
        done += len(region_ids)
        if progress:
            progress(done, len(version.region_ids))
    return Exported(tuple(files), n_cells)


def _features(
    version: LabelVersion, region_ids: list[str], ground: Ground
) -> Iterator[dict[str, Any]]:
    for region_id in region_ids:
        yield ground.region(version, region_id)
    taken: set[str] = set()
    for region_id in region_ids:
        for cell in cells_in(version, region_id):
            yield _feature(version, cell, taken)


def export_coco(
    version: LabelVersion, folder: Path, progress: Callable[[int, int], None] | None = None
) -> Exported:
    """Write one COCO file: an image per slide, ``score`` null for a person's cell.

    A person's cell keeps an id that is a number, as COCO has them; others get what is free, and
    ``annotation_id`` says what they were called. A version does not know how large a slide is:
    ``width`` and ``height`` reach to the last region.

    Raises
    ------
    WrongUseError
        If the file is already there.
    """
    path = new_file(folder, COCO_FILE)
    slides = _slides(version)
    images = [_image(version, number, slide, slides[slide])
              for number, slide in enumerate(slides, start=1)]  # fmt: skip
    head = {
        "info": {
            "description": "signetflow label version",
            "version": version.info.digest,
            "chain": version.info.chain,
            "round": version.info.round,
        },
        "categories": [{"id": 1, "name": "cell"}],
        "images": images,
    }
    regions = [(number, one) for number, ids in enumerate(slides.values(), 1) for one in ids]

    def annotations() -> Iterator[dict[str, Any]]:
        kept = _numbers(version)
        free = _without(frozenset(kept))
        for done, (image, region_id) in enumerate(regions, start=1):
            for cell in cells_in(version, region_id):
                mine = cell.annotation_id in kept
                kept.discard(cell.annotation_id)  # once: regions that overlap hold a cell twice
                yield _annotation(int(cell.annotation_id) if mine else next(free), image, cell)
            if progress:
                progress(done, len(regions))

    return Exported((path,), write_list(path, head, "annotations", annotations()))


def _without(taken: frozenset[str]) -> Iterator[int]:
    """Yield whole numbers from 1 on, those that are taken left out."""
    return (number for number in count(1) if str(number) not in taken)


def _numbers(version: LabelVersion) -> set[str]:
    """Return the ids of a person's cells that are whole numbers, as text."""
    ids = (version.records(one).annotation_ids.tolist() for one in version.region_ids)
    return {one for several in ids for one in several if _NUMBER.fullmatch(one)}


def _slides(version: LabelVersion) -> dict[str, list[str]]:
    """Return the regions of each slide; a region's id is ``<slide>@<x0>,<y0>``."""
    slides: dict[str, list[str]] = {}
    for region_id in version.region_ids:
        slides.setdefault(region_id.rpartition("@")[0] or region_id, []).append(region_id)
    return slides


def cells_in(version: LabelVersion, region_id: str) -> Iterator[ExportedCell]:
    """Yield the cells of one region as files show them."""
    records = version.records(region_id)
    for row, box in enumerate(records.boxes.tolist()):
        score, origin = float(records.scores[row]), Origin(int(records.origins[row]))
        yield ExportedCell(
            region_id=region_id,
            cell_id=int(records.cell_ids[row]),
            box=box,
            outline=_outline(records, row),
            score=None if np.isnan(score) else score,
            origin=origin,
            annotation_id=str(records.annotation_ids[row]),
            round=int(records.rounds[row]),
            stage=str(records.stages[row]),
            checkpoint=str(records.checkpoints[row]),
            votes=int(records.votes[row]),
        )


def _outline(records: CellRecords, row: int) -> Outline:
    of_pixels = bool(records.origins[row] == Origin.PSEUDO)
    return drawable(records.polygons[row], records.boxes[row], of_pixels=of_pixels)


def _feature(version: LabelVersion, cell: ExportedCell, taken: set[str]) -> dict[str, Any]:
    measurements: dict[str, float] = {"round": cell.round, "votes": cell.votes}
    if cell.score is not None:
        measurements["score"] = cell.score
    properties = {
        "objectType": "annotation",
        "classification": {"name": cell.origin.name.lower(), "color": COLOURS[cell.origin]},
        "measurements": measurements,
        "metadata": {
            "version": version.info.digest,
            "chain": version.info.chain,
            "region": cell.region_id,
            "cell_id": str(cell.cell_id),
            "origin": cell.origin.name.lower(),
            "annotation_id": cell.annotation_id,
            "stage": cell.stage,
            "checkpoint": cell.checkpoint,
        },
    }
    return feature(_id(version, cell, taken), cell.outline, properties)


def _id(version: LabelVersion, cell: ExportedCell, taken: set[str]) -> str:
    """Return the id of a cell in its file, each once."""
    person = cell.origin == Origin.HUMAN
    # Regions that overlap hold a cell twice; QuPath asks what to do about an id that comes twice.
    if person and _UUID.fullmatch(cell.annotation_id) and cell.annotation_id not in taken:
        taken.add(cell.annotation_id)
        return cell.annotation_id
    return id_of(cell_name("" if person else version.info.chain, cell.region_id, cell.cell_id))


def _image(version: LabelVersion, number: int, slide: str, region_ids: list[str]) -> dict[str, Any]:
    corners = [extent(version, region_id) for region_id in region_ids]
    right, bottom = np.ceil(np.max(corners, axis=0)[2:]).astype(int).tolist()
    return {
        "id": number,
        "file_name": slide,
        "width": right,
        "height": bottom,
        "regions": dict(zip(region_ids, (one.tolist() for one in corners), strict=True)),
    }


def _annotation(number: int, image: int, cell: ExportedCell) -> dict[str, Any]:
    x0, y0, x1, y1 = cell.box
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": ring_area(cell.outline.ring),
        "segmentation": [cell.outline.ring.ravel().tolist()],
        "iscrowd": 0,
        "score": cell.score,
        "origin": cell.origin.name.lower(),
        "region": cell.region_id,
        "cell_id": cell.cell_id,
        "annotation_id": cell.annotation_id,
        "round": cell.round,
        "stage": cell.stage,
        "checkpoint": cell.checkpoint,
        "votes": cell.votes,
    }
