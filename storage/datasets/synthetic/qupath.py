"""QuPath's GeoJSON: cells as polygons with stable ids, annotated windows as rectangles."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Annotations, Polygons
from models.errors import AnnotationError
from models.geometry.tiles import Window
from storage.datasets.drawn import Unusable
from storage.geojson_objects import read_objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CELL = "Signet ring cell"
WINDOW = "Region positive"
OUTLINE_POINTS = 24
"""A multiple of four, so that the outline touches all sides of its box."""
_COLOURS = {CELL: [0, 200, 0], WINDOW: [50, 50, 250]}


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one GeoJSON file holds."""

    cells: Annotations
    windows: tuple[Window, ...]


def write_geojson(
    path: Path, ids: Sequence[str], boxes: NDArray[np.float64], windows: Iterable[Window]
) -> None:
    """Write cells, as ellipses inscribed in their boxes (n, 4), and annotated windows."""
    cells = [_cell(one, box) for one, box in zip(ids, boxes, strict=True)]
    rectangles = [_rectangle(_uuid(f"{path.name}/{n}"), window) for n, window in enumerate(windows)]
    collection = {"type": "FeatureCollection", "features": rectangles + cells}
    path.write_text(json.dumps(collection, separators=(",", ":")))


def outline_of(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ellipse inscribed in a box as a ring of points (k, 2), not closed."""
    turn = 2 * np.pi * np.arange(OUTLINE_POINTS) / OUTLINE_POINTS
    unit = np.column_stack([np.cos(turn), np.sin(turn)])
    return np.asarray((box[:2] + box[2:]) / 2 + unit * (box[2:] - box[:2]) / 2, np.float64)


def _uuid(name: str) -> str:
    """Return an id that follows from a name; QuPath takes UUIDs only."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"signetflow/{name}"))


def _cell(one: str, box: NDArray[np.float64]) -> dict[str, Any]:
    return _feature(one, CELL, np.round(outline_of(box), 2).tolist())


def _rectangle(one: str, window: Window) -> dict[str, Any]:
    x0, y0, x1, y1 = window.x0, window.y0, window.x1, window.y1
    return _feature(one, WINDOW, [[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _feature(one: str, name: str, ring: list[list[float]]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": one,
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": name, "color": _COLOURS[name]},
        },
    }


def read_geojson(path: Path) -> Drawn:
    """Return the cells and windows of a file.

    Raises
    ------
    AnnotationError
        If the file is missing, too large, damaged, or holds something else than polygons of the
        two known classes.
    """
    objects = list(read_objects(path, path.name))
    for one in objects:
        if isinstance(one, Unusable) or one.class_name not in _COLOURS or len(one.parts) != 1:
            reason = one.reason if isinstance(one, Unusable) else f"class {one.class_name!r}"
            raise AnnotationError(
                f"{path}: {one.id} is not as signetflow draws it ({reason}). Make the dataset "
                f"again."
            )
    drawn = [(one.class_name, one) for one in objects if not isinstance(one, Unusable)]
    cells = [(one.id, one.parts[0]) for name, one in drawn if name == CELL]
    windows = [_window(one.box) for name, one in drawn if name == WINDOW]
    return Drawn(_annotations(cells), tuple(windows))


def _annotations(cells: list[tuple[str, NDArray[np.float64]]]) -> Annotations:
    if not cells:
        return Annotations.none()
    ids = np.array([one for one, _ in cells], np.str_)
    rings = [ring for _, ring in cells]
    boxes = np.array([[*ring.min(axis=0), *ring.max(axis=0)] for ring in rings])
    return Annotations(ids, boxes, Polygons.of_rings(rings))


def _window(box: NDArray[np.float64]) -> Window:
    x0, y0, x1, y1 = box.round().astype(int).tolist()
    return Window(x0, y0, x1, y1)
