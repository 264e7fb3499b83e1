"""Label versions for other tools: GeoJSON for QuPath, COCO for everything else.

All coordinates are level-0 pixels of the slide or image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Origin
from models.geometry.rings import ring_area
from storage.geojson import (
    drawable,
    feature,
    geojson_name,
    new_file,
    write_features,
    write_list,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from models.annotations import CellRecords
    from storage.labels.store import LabelVersion

COCO_FILE = "annotations_coco.json"
_COLOURS = {
    Origin.HUMAN: [0, 160, 0],
    Origin.WEAK: [0, 120, 220],
    Origin.PSEUDO: [230, 120, 0],
    Origin.CORRECTED: [150, 0, 200],
}
"""Red, green, blue of each origin in QuPath."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    files: tuple[Path, ...]
    n_cells: int


@dataclass(frozen=True, slots=True)
class _Cell:
    """One cell as both formats describe it."""

    region_id: str
    cell_id: int
    box: list[float]
    ring: NDArray[np.float64]
    score: float | None
    origin: Origin
    annotation_id: str
    round: int
    stage: str
    checkpoint: str
    votes: int


def export_geojson(
    version: LabelVersion, folder: Path, progress: Callable[[int, int], None] | None = None
) -> Exported:
    """Write one GeoJSON file per slide, to drop onto the slide in QuPath.

    The id of a cell follows from its region and cell id, so that a file that comes back reviewed
    can be matched by id. A cell without a usable outline is drawn as the ellipse of its box.

    Raises
    ------
    WrongUseError
        If a file is already there.
    """
    n_cells, done, files = 0, 0, []
    for slide, region_ids in _slides(version).items():
        path = new_file(folder, geojson_name(slide))
        features = (_feature(version, cell) for one in region_ids for cell in _cells(version, one))
        n_cells += write_features(path, features)
        files.append(path)
        done += len(region_ids)
        if progress:
            progress(done, len(version.region_ids))
    return Exported(tuple(files), n_cells)


def export_coco(
    version: LabelVersion, folder: Path, progress: Callable[[int, int], None] | None = None
) -> Exported:
    """Write one COCO file: an image per slide, ``score`` null for a person's cell.

    A version does not know how large a slide is: ``width`` and ``height`` reach to the last region.

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
        number = 0
        for done, (image, region_id) in enumerate(regions, start=1):
            for number, cell in enumerate(_cells(version, region_id), start=number + 1):  # noqa: B020
                yield _annotation(number, image, cell)
            if progress:
                progress(done, len(regions))

    return Exported((path,), write_list(path, head, "annotations", annotations()))


def _slides(version: LabelVersion) -> dict[str, list[str]]:
    """Return the regions of each slide; a region's id is ``<slide>@<x0>,<y0>``."""
    slides: dict[str, list[str]] = {}
    for region_id in version.region_ids:
        slides.setdefault(region_id.rpartition("@")[0] or region_id, []).append(region_id)
    return slides


def _cells(version: LabelVersion, region_id: str) -> Iterator[_Cell]:
    records = version.records(region_id)
    for row, box in enumerate(records.boxes.tolist()):
        score, origin = float(records.scores[row]), Origin(int(records.origins[row]))
        yield _Cell(
            region_id=region_id,
            cell_id=int(records.cell_ids[row]),
            box=box,
            ring=_ring(records, row),
            score=None if np.isnan(score) else score,
            origin=origin,
            annotation_id=str(records.annotation_ids[row]),
            round=int(records.rounds[row]),
            stage=str(records.stages[row]),
            checkpoint=str(records.checkpoints[row]),
            votes=int(records.votes[row]),
        )


def _ring(records: CellRecords, row: int) -> NDArray[np.float64]:
    of_pixels = bool(records.origins[row] == Origin.PSEUDO)
    return drawable(records.polygons[row], records.boxes[row], of_pixels=of_pixels)


def _feature(version: LabelVersion, cell: _Cell) -> dict[str, Any]:
    # A person's cell is the same in every chain; ids of found cells count within one.
    chain = "" if cell.origin == Origin.HUMAN else version.info.chain
    name = f"{chain}/{cell.region_id}/{cell.cell_id}"
    measurements: dict[str, float] = {"round": cell.round, "votes": cell.votes}
    if cell.score is not None:
        measurements["score"] = cell.score
    properties = {
        "objectType": "annotation",
        "classification": {"name": cell.origin.name.lower(), "color": _COLOURS[cell.origin]},
        "measurements": measurements,
        "metadata": {
            "version": version.info.digest,
            "region": cell.region_id,
            "cell_id": str(cell.cell_id),
            "origin": cell.origin.name.lower(),
            "annotation_id": cell.annotation_id,
            "stage": cell.stage,
            "checkpoint": cell.checkpoint,
        },
    }
    return feature(name, cell.ring, properties)


def _image(version: LabelVersion, number: int, slide: str, region_ids: list[str]) -> dict[str, Any]:
    corners = []
    for region_id in region_ids:
        height, width = version.classes(region_id).shape
        corners.append(version.placement(region_id).boxes_to_level0([0, 0, width, height])[0])
    right, bottom = np.ceil(np.max(corners, axis=0)[2:]).astype(int).tolist()
    return {
        "id": number,
        "file_name": slide,
        "width": right,
        "height": bottom,
        "regions": dict(zip(region_ids, (one.tolist() for one in corners), strict=True)),
    }


def _annotation(number: int, image: int, cell: _Cell) -> dict[str, Any]:
    x0, y0, x1, y1 = cell.box
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": ring_area(cell.ring),
        "segmentation": [cell.ring.ravel().tolist()],
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
