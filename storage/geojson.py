"""GeoJSON files of cells as QuPath reads them, written cell by cell and never over another file.

All coordinates are level-0 pixels of the slide or image.
"""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from models.errors import WorkspaceError, WrongUseError
from models.geometry.rings import crosses_itself, ellipse_ring, ring_area, untouching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from models.annotations import Detections

_NAMESPACE = uuid.UUID("8a1bd0c7-5d3e-5f0b-9a52-3f2f6f0f6c11")
FOUND_CLASS = {"name": "cell", "color": [230, 120, 0]}
"""The class of what a network found; red, green, blue."""


def geojson_name(slide: str) -> str:
    """Return the name of the GeoJSON file of a slide."""
    return f"{quote(slide, safe=' @,-_.()')}.geojson"


def new_file(folder: Path, name: str) -> Path:
    """Return the path of a file that is to be written; make its folder.

    Raises
    ------
    WrongUseError
        If it is already there.
    WorkspaceError
        If the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    if (folder / name).exists():
        raise WrongUseError(f"{folder / name} is already there. Give another --output, or move it.")
    return folder / name


def write_features(path: Path, features: Iterator[dict[str, Any]]) -> int:
    """Write a GeoJSON file and return how many features it has."""
    return write_list(path, {"type": "FeatureCollection"}, "features", features)


def write_list(path: Path, head: dict[str, Any], key: str, entries: Iterator[Any]) -> int:
    """Write a JSON object with one long list, entry by entry; return how many there were.

    Raises
    ------
    WorkspaceError
        If the file cannot be written. Whatever is raised, no half of it is left.
    """
    pending = path.with_name(f".{path.name}.part")
    count = 0
    try:
        with pending.open("w") as stream:
            stream.write(json.dumps(head, allow_nan=False)[:-1] + f', "{key}": [')
            for count, entry in enumerate(entries, start=1):
                stream.write(",\n" if count > 1 else "\n")
                stream.write(json.dumps(entry, allow_nan=False))
            stream.write("\n]}\n")
        pending.replace(path)
    except OSError as error:
        if isinstance(error, WorkspaceError):
            raise
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            pending.unlink()
    return count


def feature(name: str, ring: NDArray[np.float64], properties: dict[str, Any]) -> dict[str, Any]:
    """Return one cell; its id follows from its name, its outline from an open ring (n, 2)."""
    closed = [*ring.tolist(), ring[0].tolist()]
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMESPACE, name)),
        "geometry": {"type": "Polygon", "coordinates": [closed]},
        "properties": properties,
    }


def drawable(
    ring: NDArray[np.float64], box: NDArray[np.float64], *, of_pixels: bool
) -> NDArray[np.float64]:
    """Return an outline that QuPath takes: the ring, or the ellipse of the box if it will not do.

    Parameters
    ----------
    ring, box
        (n, 2) outline, perhaps without points, and (4,) box of a cell.
    of_pixels
        Whether the ring runs around pixels: it then never crosses itself; what a person drew may.
    """
    simple = untouching(np.round(ring, 2))
    usable = len(simple) >= 3 and ring_area(simple) > 0
    if usable and (of_pixels or not crosses_itself(simple)):
        return simple
    return np.round(ellipse_ring(box), 2)


def found_features(found: Detections, slide: str, checkpoint: str) -> Iterator[dict[str, Any]]:
    """Yield what a network found on a slide as QuPath's detections, each with its score."""
    for row, box in enumerate(found.boxes):
        ring = drawable(found.polygons[row], box, of_pixels=True)
        where = ",".join(f"{side:.2f}" for side in box)
        properties = {
            "objectType": "detection",
            "classification": FOUND_CLASS,
            "measurements": {"score": float(found.scores[row])},
            "metadata": {"checkpoint": checkpoint},
        }
        yield feature(f"{checkpoint}/{slide}/{where}", ring, properties)


def _unwritable(path: Path, error: OSError) -> WorkspaceError:
    return WorkspaceError(f"{path}: cannot be written ({error.strerror}). Give another --output.")
