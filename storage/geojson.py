"""GeoJSON files of cells as QuPath reads them, written cell by cell and never over another file.

All coordinates are level-0 pixels of the slide or image, with all their digits: what is written
reads back as it was. QuPath itself keeps two decimals of what it saves.
"""

from __future__ import annotations

import gzip
import io
import json
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from models.errors import WorkspaceError, WrongUseError
from models.geometry.rings import ellipse_ring, is_simple, ring_area, untouching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from models.annotations import Detections

_NAMESPACE = uuid.UUID("8a1bd0c7-5d3e-5f0b-9a52-3f2f6f0f6c11")
GZIP = ".gz"
"""Ends the name of a compressed file; QuPath opens those from version 0.4 on."""
ELLIPSE_POINTS = 32
"""A multiple of four, so that the outline touches all sides of its box."""
FOUND_CLASS = {"name": "cell", "color": [230, 120, 0]}
"""The class of what a network found; red, green, blue."""


def geojson_name(slide: str, *, compressed: bool = False) -> str:
    """Return the name of the GeoJSON file of a slide."""
    return f"{quote(slide, safe=' @,-_.()')}.geojson{GZIP if compressed else ''}"


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

    A file whose name ends in ``.gz`` is compressed; the same entries give the same bytes.

    Raises
    ------
    WorkspaceError
        If the file cannot be written. Whatever is raised, no half of it is left.
    """
    pending = path.with_name(f".{path.name}.part")
    count = 0
    try:
        with _written(pending, compressed=path.suffix == GZIP) as stream:
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


@contextmanager
def _written(path: Path, *, compressed: bool) -> Iterator[TextIO]:
    if not compressed:
        with path.open("w", encoding="utf-8") as stream:
            yield stream
        return
    # Neither name nor time in the header: they would make equal files differ.
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8") as stream,
    ):
        yield stream


@dataclass(frozen=True, slots=True)
class Outline:
    """What is drawn of a cell or region."""

    ring: NDArray[np.float64]
    """(n, 2) points ``x, y``, not closed; simple."""
    is_ellipse: bool = False
    """Whether the points stand for the ellipse in their box; QuPath makes one of them again."""


def id_of(name: str) -> str:
    """Return the id that follows from a name; QuPath takes UUIDs only."""
    return str(uuid.uuid5(_NAMESPACE, name))


def cell_name(chain: str, region_id: str, cell_id: int | str) -> str:
    """Return the name that gives a cell of a label version its id.

    A person's cell is the same in every chain: its chain is empty. Ids of found cells count within
    one.
    """
    return f"{chain}/{region_id}/{cell_id}"


def feature(object_id: str, outline: Outline, properties: dict[str, Any]) -> dict[str, Any]:
    """Return one object as GeoJSON holds it."""
    ring = outline.ring.tolist()
    geometry: dict[str, Any] = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    if outline.is_ellipse:
        geometry["isEllipse"] = True
    return {"type": "Feature", "id": object_id, "geometry": geometry, "properties": properties}


def drawable(ring: NDArray[np.float64], box: NDArray[np.float64], *, of_pixels: bool) -> Outline:
    """Return an outline that QuPath takes: the ring, or the ellipse of the box if it will not do.

    QuPath refuses a file with one invalid polygon (from 0.6 on): rings that cross or touch
    themselves.

    Parameters
    ----------
    ring, box
        (n, 2) outline, perhaps without points, and (4,) box of a cell.
    of_pixels
        Whether the ring runs around pixels: it then never crosses itself; what a person drew may.
    """
    simple = untouching(ring)
    usable = len(simple) >= 3 and ring_area(simple) > 0
    if usable and (of_pixels or is_simple(simple)):
        return Outline(simple)
    return Outline(ellipse_in(box), is_ellipse=True)


def ellipse_in(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (n, 2) on the ellipse inscribed in a box; they reach its sides exactly."""
    ring, quarter = ellipse_ring(box, ELLIPSE_POINTS), ELLIPSE_POINTS // 4
    # Rounding leaves the last digit of the four outermost points open.
    ring[[0, 2 * quarter], 0] = box[[2, 0]]
    ring[[quarter, 3 * quarter], 1] = box[[3, 1]]
    return ring


def rectangle(box: NDArray[np.float64]) -> Outline:
    """Return the outline of a box ``x0, y0, x1, y1``."""
    return Outline(box[[[0, 1], [2, 1], [2, 3], [0, 3]]])


def found_features(found: Detections, slide: str, checkpoint: str) -> Iterator[dict[str, Any]]:
    """Yield what a network found on a slide as QuPath's detections, each with its score."""
    for row, box in enumerate(found.boxes):
        outline = drawable(found.polygons[row], box, of_pixels=True)
        where = json.dumps([box.tolist(), outline.ring[0].tolist(), len(outline.ring)])
        properties = {
            "objectType": "detection",
            "classification": FOUND_CLASS,
            "measurements": {"score": float(found.scores[row])},
            "metadata": {"checkpoint": checkpoint},
        }
        yield feature(id_of(f"{checkpoint}/{slide}/{where}"), outline, properties)


def _unwritable(path: Path, error: OSError) -> WorkspaceError:
    return WorkspaceError(f"{path}: cannot be written ({error.strerror}). Give another --output.")
