"""One XML file of Aperio ImageScope: layers of outlines, read with limits and without entities.

A layer (``Annotation``) has a name, each outline (``Region``) a type, a text and its vertices, in
level-0 pixels. ImageScope writes an ellipse as two corners of its box.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from models.errors import AnnotationError
from models.geometry.tiles import plausible_mpp
from storage.datasets.drawn import Drawn, Unusable
from storage.geojson import id_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

MAXIMUM_MB = 256
MAXIMUM_DEPTH = 32
MAXIMUM_REGIONS = 500_000
MAXIMUM_POINTS = 100_000
"""Of one region."""
FREEHAND, RECTANGLE, ELLIPSE = "0", "1", "2"
_NO_AREAS = {"3": "an arrow", "4": "a ruler"}
_ELLIPSE_CORNERS = 4
"""Programs write two corners of the box or all four; more are points along the ellipse."""
_UNNAMED_LAYER = re.compile(r"((layer|annotation|region)s?\s*\d*)?", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{0,30})?([eE][+-]?\d{1,2})?", re.ASCII)
_TEXT = 300


def stated_mpp(path: Path) -> float | None:
    """Return the micrometres per pixel that a file states, None where it says nothing believable.

    Raises
    ------
    AnnotationError
        If it is no file of ImageScope.
    """
    for _, root in _events(path):
        text = root.get("MicronsPerPixel", "")
        value = float(text) if _NUMBER.fullmatch(text) else 0.0
        return value if plausible_mpp(value) else None
    return None


def read_aperio(path: Path, slide: str) -> Iterator[Drawn | Unusable]:
    """Yield the outlines of all layers.

    Parameters
    ----------
    path
        The XML file.
    slide
        Name of the slide: ImageScope numbers the outlines of each file anew.

    Raises
    ------
    AnnotationError
        If the file is damaged, perhaps behind outlines that were good: take none of them then.
    """
    reading = _Reading(slide)
    above: list[Element] = []
    for event, element in _events(path):
        if event == "start":
            above.append(element)
            if len(above) > MAXIMUM_DEPTH:
                _refuse(f"{path}: nested too deeply to be a file of ImageScope.")
            reading.begin(element)
            continue
        above.pop()
        yield from reading.end(element)
        if above:  # the tree would grow to many times the file
            above[-1].remove(element)


def _events(path: Path) -> Iterator[tuple[str, Element]]:
    """Yield the starts and ends of elements; the first is that of the root."""
    try:
        n_mb = path.stat().st_size / 2**20
        if n_mb > MAXIMUM_MB:
            _refuse(f"{path}: {n_mb:.0f} MB of XML, at most {MAXIMUM_MB} are read.")
        with path.open("rb") as stream:
            events = iterparse(stream, ("start", "end"), forbid_dtd=True)
            for number, (event, element) in enumerate(events):
                if not number and element.tag != "Annotations":
                    _refuse(
                        f"{path}: its root is <{element.tag:.40}>, expected <Annotations> of "
                        f"ImageScope."
                    )
                yield event, element
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror}).") from error
    except DefusedXmlException as error:
        raise AnnotationError(
            f"{path}: has a DOCTYPE or entities, which annotations do not need and attacks do. "
            f"Export it without."
        ) from error
    except (ParseError, LookupError, ValueError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{path}: not XML ({error}). Export or copy it again.") from error


class _Reading:
    """The layer and the region that are being read."""

    def __init__(self, slide: str) -> None:
        self._slide = slide
        self._layer: Mapping[str, str] = {}
        self._points: list[tuple[str, str]] = []
        self._n_points = 0
        self._n_regions = 0
        self._taken: set[str] = set()

    def begin(self, element: Element) -> None:
        """Note where a layer or region begins."""
        if element.tag == "Annotation":
            self._layer = dict(element.attrib)
        elif element.tag == "Region":
            self._points, self._n_points = [], 0
            self._n_regions += 1
            if self._n_regions > MAXIMUM_REGIONS:
                _refuse(f"it has more than {MAXIMUM_REGIONS} regions.")

    def end(self, element: Element) -> Iterator[Drawn | Unusable]:
        """Yield a region that is complete now."""
        if element.tag == "Vertex":
            self._n_points += 1
            if self._n_points <= MAXIMUM_POINTS:
                self._points.append((element.get("X", ""), element.get("Y", "")))
        elif element.tag == "Region":
            yield self._region(element.attrib)

    def _region(self, told: Mapping[str, str]) -> Drawn | Unusable:
        layer, text = _shown(self._layer.get("Name", "")), _shown(told.get("Text", ""))
        class_name = text if _UNNAMED_LAYER.fullmatch(layer) else layer
        layer_id = _shown(self._layer.get("Id", "")) or "?"
        object_id = f"{self._slide}/{layer_id}/{_shown(told.get('Id', '')) or '?'}"
        kind = told.get("Type", FREEHAND)
        try:
            points = self._outline(kind)
        except AnnotationError as error:
            return Unusable(object_id, class_name, text, str(error), kind not in _NO_AREAS)
        return Drawn(
            self._unique(object_id, points),
            class_name,
            text,
            (points,),
            is_ellipse=kind == ELLIPSE and len(points) <= _ELLIPSE_CORNERS,
            is_excluded=told.get("NegativeROA", "0") not in {"0", ""},
        )

    def _outline(self, kind: str) -> NDArray[np.float64]:
        if kind not in {FREEHAND, RECTANGLE, ELLIPSE}:
            _refuse(f"it is {_NO_AREAS.get(kind, f'of type {kind!r:.20}')}, no area")
        if self._n_points > MAXIMUM_POINTS:
            _refuse(f"it has {self._n_points} points, at most {MAXIMUM_POINTS} are read")
        if not all(_NUMBER.fullmatch(x) and _NUMBER.fullmatch(y) for x, y in self._points):
            _refuse("its vertices hold something else than X and Y as finite numbers")
        points = np.array(self._points, np.float64).reshape(-1, 2)
        if len(points) > 1 and (points[0] == points[-1]).all():
            points = points[:-1]
        if kind != FREEHAND and len(points) == 2:
            (x0, y0), (x1, y1) = points.tolist()
            return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        if len(points) < 3:
            _refuse(f"it has {len(points)} points, expected at least 3")
        return points

    def _unique(self, object_id: str, points: NDArray[np.float64]) -> str:
        """Return the id, or one that follows from the outline if the file has it twice."""
        if "?" in object_id.removeprefix(self._slide) or object_id in self._taken:
            object_id = f"{self._slide}/{id_of(str(points.tolist()))}"
        self._taken.add(object_id)
        return object_id


def _shown(text: str) -> str:
    """Return a text as it can be shown."""
    return "".join(one if one.isprintable() else "?" for one in text[:_TEXT]).strip()


def _refuse(reason: str) -> NoReturn:
    raise AnnotationError(reason)
