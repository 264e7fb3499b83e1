"""One Pascal VOC XML file: boxes with a class, read with limits and without entities.

Coordinates are taken as they stand: ``xmin ymin xmax ymax`` become the half-open box
``[xmin, xmax) x [ymin, ymax)`` in level-0 pixels. The first VOC challenges counted pixels from 1
and included the last one, but most programs that write this form today do neither, and a file does
not say which it is. No pixel is added or taken away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from models.annotations import Annotations, Polygons
from models.errors import AnnotationError
from storage.datasets.bounds import CUT, bounded
from storage.datasets.protocol import RefusedRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from numpy.typing import NDArray

MAXIMUM_XML_MB = 64
MAXIMUM_DEPTH = 32
MAXIMUM_ELEMENTS = 10_000
"""Of one object."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")
DIFFICULT, TRUNCATED = "objects marked difficult", "objects marked truncated"
OTHER_CLASS = "objects of other classes"
_SIP_BYTES = 512
"""A file names its image in its first lines; the objects behind it are for later."""
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{0,30})?([eE][+-]?\d{1,2})?", re.ASCII)


@dataclass(slots=True)
class VocObject:
    """One object, its box unchecked."""

    class_name: str
    corners: list[str]
    """Text of xmin, ymin, xmax, ymax; empty where one is missing."""
    difficult: bool
    truncated: bool


@dataclass(slots=True)
class VocFile:
    """What one XML file says."""

    file_name: str = ""
    """Of the image, as the file names it; it often lies."""
    size: tuple[str, str] = ("", "")
    """Width and height as they are written."""
    objects: list[VocObject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class VocCells:
    """The objects of the wanted classes, checked against their image."""

    annotations: Annotations
    refused: tuple[RefusedRecord, ...]
    noticed: dict[str, int]


def read_voc(path: Path) -> VocFile:
    """Return the content of a VOC XML file.

    Raises
    ------
    AnnotationError
        If it is too large, not XML, not VOC, or tries what XML files attack with; the reason does
        not name the file.
    """
    try:
        size_mb = path.stat().st_size / 2**20
        if size_mb > MAXIMUM_XML_MB:
            _refuse(f"it has {size_mb:.0f} MB of XML, at most {MAXIMUM_XML_MB} are read.")
        with path.open("rb") as stream:
            found = VocFile()
            for element in _parts(iterparse(stream, ("start", "end"), forbid_dtd=True)):
                _take(element, found)
            return found
    except OSError as error:
        raise AnnotationError(f"it cannot be read ({error.strerror}).") from error
    except DefusedXmlException as error:
        raise AnnotationError(
            "it has a DOCTYPE or entities, which annotations do not need and attacks do. Export "
            "it without."
        ) from error
    except (ParseError, LookupError, ValueError) as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"it is not XML ({error}). Export or copy it again.") from error


def named_image(path: Path) -> str:
    """Return the image that a VOC XML file names before its objects; nothing if it cannot be read.

    Only the beginning of the file is read.
    """
    try:
        with path.open("rb") as stream:
            found = VocFile()
            sips = SimpleNamespace(read=lambda _: stream.read(_SIP_BYTES))
            for element in _parts(iterparse(sips, ("start", "end"), forbid_dtd=True)):
                _take(element, found)
                if found.file_name or found.objects:
                    break
            return found.file_name
    except (OSError, ParseError, LookupError, ValueError):  # read_voc says what is wrong
        return ""


def _refuse(reason: str) -> NoReturn:
    raise AnnotationError(reason)


def _parts(events: Iterator[tuple[str, Element]]) -> Iterator[Element]:
    """Yield the elements right below the root, and forget each one."""
    depth, n_elements, root = 0, 0, None
    for event, element in events:
        if event == "start":
            depth, n_elements = depth + 1, n_elements + 1
            if root is None:
                root = element
                if root.tag != "annotation":
                    _refuse(f"its root is <{root.tag:.40}>, expected <annotation> of Pascal VOC.")
            if depth > MAXIMUM_DEPTH or n_elements > MAXIMUM_ELEMENTS:
                _refuse("it is nested too deeply or has too many elements to be an annotation.")
            continue
        depth -= 1
        if depth == 1 and root is not None:
            yield element
            root.clear()
            n_elements = 0


def _take(element: Element, found: VocFile) -> None:
    if element.tag == "filename":
        found.file_name = (element.text or "").strip()
    elif element.tag == "size":
        found.size = (_text(element, "width"), _text(element, "height"))
    elif element.tag == "object":
        box = element.find("bndbox")  # a part of an object has one of its own, deeper
        found.objects.append(
            VocObject(
                class_name=_text(element, "name"),
                corners=["" if box is None else _text(box, corner) for corner in CORNERS],
                difficult=_text(element, "difficult") == "1",
                truncated=_text(element, "truncated") == "1",
            )
        )


def _text(element: Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def stated_size(found: VocFile) -> tuple[float, float] | None:
    """Return width and height that the file states, or None where it does not or says 0."""
    width, height = (float(one) if _NUMBER.fullmatch(one) else 0.0 for one in found.size)
    return (width, height) if width and height else None


def cells_of(found: VocFile, wanted: Collection[str], name: str, size: tuple[int, int]) -> VocCells:
    """Return the objects of some classes as annotations.

    An annotation is called after its image and box: that stays as it is when other objects come or
    go, so that the same ones are hidden with the same seed.

    Parameters
    ----------
    found
        What the file says.
    wanted
        Classes; none means all.
    name
        Of the image, for ids and messages.
    size
        Width and height of the image.
    """
    chosen = [
        (place, one)
        for place, one in enumerate(found.objects, start=1)
        if not wanted or one.class_name in wanted
    ]
    wrong = {place: reason for place, one in chosen if (reason := _wrong(one))}
    good = [(place, one) for place, one in chosen if place not in wrong]
    boxes = np.array([list(map(float, one.corners)) for _, one in good]).reshape(-1, 4)
    inside = bounded(boxes, size)
    wrong |= {good[row][0]: f"its box {_shown(good[row][1])} {reason}"
              for row, reason in inside.wrong.items()}  # fmt: skip
    kept = np.array([place not in wrong for place, _ in good], bool)
    refused = [RefusedRecord(f"{name}: object {place}", wrong[place]) for place in sorted(wrong)]
    noticed = {
        CUT: inside.n_cut,
        DIFFICULT: sum(one.difficult for place, one in good if place not in wrong),
        TRUNCATED: sum(one.truncated for place, one in good if place not in wrong),
        OTHER_CLASS: len(found.objects) - len(chosen),
    }
    ids = _ids(name, [one for place, one in good if place not in wrong])
    annotations = Annotations(ids, inside.boxes[kept], Polygons.none(len(ids)))
    return VocCells(annotations, tuple(refused), {k: n for k, n in noticed.items() if n})


def _wrong(one: VocObject) -> str:
    """Return why the box of an object is none, or nothing."""
    if not all(one.corners):
        return "it has no bndbox with xmin, ymin, xmax and ymax"
    if not all(map(_NUMBER.fullmatch, one.corners)):
        return f"its box is {_shown(one)}, expected four finite numbers"
    x0, y0, x1, y1 = map(float, one.corners)
    if x1 <= x0 or y1 <= y0:
        return f"its box {_shown(one)} has width {x1 - x0:g} and height {y1 - y0:g}, expected > 0"
    return ""


def _shown(one: VocObject) -> str:
    return ", ".join(f"{corner} {text:.20}" for corner, text in zip(CORNERS, one.corners,
                                                                     strict=True))  # fmt: skip


def _ids(name: str, objects: list[VocObject]) -> NDArray[np.str_]:
    """Return an id of each object; of equal boxes, the later ones are numbered."""
    taken: dict[str, int] = {}
    ids = []
    for one in objects:
        box = f"{name}#{','.join(f'{float(corner):.12g}' for corner in one.corners)}"
        taken[box] = taken.get(box, 0) + 1
        ids.append(box if taken[box] == 1 else f"{box},{taken[box]}")
    return np.array(ids, np.str_)
