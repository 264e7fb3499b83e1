"""The objects of a QuPath GeoJSON file: outlines with their id, class and name.

Read here for every purpose: slides with annotations, made-up slides, reviewed labels.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from models.annotations import Origin
from models.errors import AnnotationError
from storage.datasets.coco_document import is_key, is_number, is_text
from storage.datasets.drawn import Drawn, Unusable
from storage.geojson import cell_name, id_of
from storage.geojson_stream import NESTED, TooLarge, features

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Point = list[float]

MAXIMUM_TEXT = 300
"""Letters of an id, a class or a name."""
_AREAS = {"Polygon", "MultiPolygon"}
_NO_CELLS = {"tile", "tmacore", "root"}
"""QuPath's objects that never mean one cell; it has changed how it writes them."""
_ANNOTATIONS = {"annotation", "unknown", ""}
_LINES = {"LineString", "MultiLineString"}
_FOUND = {origin.name.lower() for origin in Origin if origin is not Origin.HUMAN}
"""What exported labels call the cells that no person drew."""


def read_objects(path: Path, slide: str) -> Iterator[Drawn | Unusable]:
    """Yield the objects of a file, one after the other.

    Parameters
    ----------
    path
        GeoJSON of QuPath, perhaps compressed.
    slide
        Name of the slide: of the ids of objects that have none.

    Raises
    ------
    AnnotationError
        If the file is damaged, perhaps behind objects that were good: take none of them then.
    """
    for number, one in enumerate(features(path)):
        if isinstance(one, TooLarge):
            yield Unusable(_text(one.id) or f"number {number}", "", "", one.reason)
        else:
            yield from _objects(one, slide, number)


def _objects(value: Mapping[str, Any], slide: str, number: int) -> Iterator[Drawn | Unusable]:
    """Yield an object, and what it hides."""
    told = value.get("properties")
    properties: Mapping[str, Any] = told if isinstance(told, dict) else {}
    class_name, name = class_of(properties.get("classification")), _text(properties.get("name"))
    label, kind = _text(value.get("id")) or f"number {number}", _kind(value, properties)
    is_mark = kind in _ANNOTATIONS
    if nested := properties.get(NESTED):
        reason = (
            f"{nested} objects are nested in it; export without the hierarchy, so that all are "
            f"features of their own"
        )
        yield Unusable(label, "", "", reason)  # of whatever class
    try:
        parts, has_holes = _parts(value)
        object_id = _id(value, properties, (slide, class_name, parts))
    except AnnotationError as error:
        may_be_cell = is_mark and _may_be_cell(value, class_name)
        yield Unusable(label, class_name, name, str(error), may_be_cell)
        return
    if kind in _NO_CELLS:
        yield Unusable(label, class_name, name, f"it is a {kind}, no cell", is_mark=False)
        return
    geometry = value.get("geometry", value)
    yield Drawn(
        object_id,
        class_name,
        name,
        parts,
        is_ellipse=geometry.get("isEllipse") is True,
        has_holes=has_holes,
        by_program=not is_mark or _found_by_network(properties, class_name),
    )


def class_of(value: object) -> str:
    """Return the class that a file gives an object, the parts of a derived one joined by ": ".

    QuPath wrote text, ``{"name"}``, ``{"names"}`` and ``{"name", "parentClass"}`` at one time or
    another.
    """
    if not isinstance(value, dict):
        return _text(value)
    names = value.get("names")
    if isinstance(names, list):
        return ": ".join(filter(None, map(_text, names)))
    parent = class_of(value["parentClass"]) if value.get("parentClass") else ""
    return ": ".join(filter(None, [parent, _text(value.get("name"))]))


def _text(value: object) -> str:
    """Return a text that can be shown, or a number as text; nothing for all else."""
    if not is_key(value):
        return ""
    return "".join(one if one.isprintable() else "?" for one in str(value)[:MAXIMUM_TEXT])


def _kind(value: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """Return the kind of object in small letters; QuPath 0.2 said it in the id."""
    for said in (properties.get("objectType"), properties.get("object_type"), value.get("id")):
        text = _text(said)
        if text.startswith("Path") and text.endswith("Object"):
            text = text.removeprefix("Path").removesuffix("Object")
        elif said is value.get("id"):
            continue
        if text:
            return text.lower().replace("_", "")
    return ""


def _id(value: Mapping[str, Any], properties: Mapping[str, Any], content: tuple[Any, ...]) -> str:
    """Return the id of an object, exactly as the file has it.

    A cell that was exported from a label version gets the id back that its annotation had there.
    """
    found = value.get("id")
    if found is None or (isinstance(found, str) and found.startswith("Path")):
        slide, class_name, parts = content
        points = [part.tolist() for part in parts]
        return id_of(f"object/{json.dumps([slide, class_name, points])}")
    if not is_key(found) or not is_text(str(found)) or not 0 < len(str(found)) <= MAXIMUM_TEXT:
        _refuse(f"its id is {found!r:.40}, expected a text of 1 to {MAXIMUM_TEXT} letters")
    if not str(found).isprintable():
        _refuse(f"its id is {found!r:.40}, expected letters that can be printed")
    return _before_export(str(found), properties) or str(found)


def _before_export(found: str, properties: Mapping[str, Any]) -> str:
    """Return the id that an annotation had before its label version was exported, if it did."""
    told = _metadata(properties)
    if told.get("origin") != "human" or not told.get("annotation_id"):
        return ""
    # A copy that a person made in QuPath has the same metadata, but an id of its own.
    same = found == id_of(cell_name("", told.get("region", ""), told.get("cell_id", "")))
    return told["annotation_id"] if same else ""


def _metadata(properties: Mapping[str, Any]) -> dict[str, str]:
    value = properties.get("metadata")
    return {k: v for k, v in value.items() if is_text(v)} if isinstance(value, dict) else {}


def _found_by_network(properties: Mapping[str, Any], class_name: str) -> bool:
    """Return whether exported labels hold it as found, and nobody gave it another class since."""
    return _metadata(properties).get("origin") in _FOUND and class_name in _FOUND


def _parts(value: Mapping[str, Any]) -> tuple[tuple[NDArray[np.float64], ...], bool]:
    """Return the outer rings of a feature's geometry, and whether there are holes in them."""
    geometry = value.get("geometry", value)
    if not isinstance(geometry, dict):
        _refuse("it has no geometry")
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if not isinstance(kind, str) or kind not in _AREAS:
        _refuse(f"it is a {_text(kind) or 'thing without a type'}, no area")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(polygons, list) or not polygons or not all(map(_is_rings, polygons)):
        _refuse(f"its coordinates are not those of a {kind}")
    return tuple(_ring(one[0]) for one in polygons), any(len(one) > 1 for one in polygons)


def _may_be_cell(value: Mapping[str, Any], class_name: str) -> bool:
    """Return whether a person may have meant a cell by something that is no usable area.

    Nobody marks a cell by a line; points without a class count or measure something.
    """
    geometry = value.get("geometry", value)
    kind = _text(geometry.get("type")) if isinstance(geometry, dict) else None
    return kind not in _LINES and (kind not in {"Point", "MultiPoint"} or class_name != "")


def _is_rings(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, list) for one in value)


def _ring(points: list[object]) -> NDArray[np.float64]:
    """Return the points of a closed ring, (k, 2), without the closing one."""
    if not all(_is_point(one) for one in points):
        _refuse("its outline holds something else than points x, y of finite numbers")
    ring = np.array([point[:2] for point in points], np.float64).reshape(-1, 2)  # type: ignore[index]
    if len(ring) > 1 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    if len(ring) < 3:
        _refuse(f"its outline has {len(ring)} points, expected at least 3")
    return ring


def _is_point(value: object) -> bool:
    return isinstance(value, list) and len(value) in {2, 3} and all(map(is_number, value))


def _refuse(reason: str) -> NoReturn:
    raise AnnotationError(reason)
