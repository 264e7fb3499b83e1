"""The annotations of a COCO dataset: boxes and outlines, each checked against its image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from models.annotations import Annotations, Polygons
from models.errors import AnnotationError, WrongUseError
from storage.datasets.coco_document import is_key, is_number
from storage.datasets.protocol import RefusedRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from storage.datasets.coco_document import Document, ImageEntry, Key

ROUNDING_PX = 1.0
"""Boxes may reach this far out of their image before they are an error: exporters round."""
MINIMUM_POINTS = 3


@dataclass(slots=True)
class Records:
    """The annotations of the wanted class by image, still unchecked but for their ids."""

    by_image: dict[Key, list[Mapping[str, Any]]] = field(default_factory=dict)
    refused: list[RefusedRecord] = field(default_factory=list)


def wanted_categories(document: Document, class_name: str | None) -> set[Key]:
    """Return the ids of the category of that name, of all categories without a name.

    Raises
    ------
    WrongUseError
        If no category has that name.
    """
    if class_name is None:
        return set(document.categories)
    wanted = {key for key, name in document.categories.items() if name == class_name}
    if not wanted:
        listed = ", ".join(sorted(document.categories.values())) or "none"
        raise WrongUseError(
            f"{document.path}: no category is called {class_name!r}; there are {listed}. "
            f"Choose one with --class, or leave it out to take all."
        )
    return wanted


def sort_records(document: Document, wanted: set[Key], images: Sequence[ImageEntry]) -> Records:
    """Return the annotations of the wanted categories on the wanted images.

    What names an unknown image or category, or an id that came before, is refused.
    """
    here = {image.key for image in images}
    records = Records()
    taken: set[str] = set()
    for index, value in enumerate(document.annotations):
        reason = _unusable(value, document)
        if not reason and (value["category_id"] not in wanted or value["image_id"] not in here):
            continue
        if not reason and str(value["id"]) in taken:
            reason = "its id came before; ids of annotations must be unique"
        if reason:
            records.refused.append(RefusedRecord(_record_name(value, index), reason))
        else:
            taken.add(str(value["id"]))
            records.by_image.setdefault(value["image_id"], []).append(value)
    return records


def _record_name(value: object, index: int) -> str:
    if isinstance(value, dict) and is_key(value.get("id")):
        return f"annotation {value['id']}"
    return f"annotations[{index}]"


def _unusable(value: object, document: Document) -> str:
    if not isinstance(value, dict):
        return f"the entry is {value!r:.60}, expected an object"
    for key in ("id", "image_id", "category_id"):
        if not is_key(value.get(key)):
            return f"its {key} is {value.get(key)!r:.60}, expected a number or text"
    if value["image_id"] not in document.keys:
        return f"its image_id {value['image_id']!r:.60} is no image of the file"
    if value["category_id"] not in document.categories:
        return f"its category_id {value['category_id']!r:.60} is no category of the file"
    return ""


def checked(
    values: Sequence[Mapping[str, Any]], file_name: str, size: tuple[int, int]
) -> tuple[Annotations, list[RefusedRecord]]:
    """Return the annotations of one image, and the records that contradict it.

    Parameters
    ----------
    values
        The records of the image.
    file_name
        Of the image, for the messages.
    size
        Width and height of the image.
    """
    ids: list[str] = []
    boxes: list[NDArray[np.float64]] = []
    rings: list[NDArray[np.float64]] = []
    refused = []
    for value in values:
        try:
            if value.get("iscrowd"):
                _refuse("it outlines a crowd (iscrowd), not one cell")
            box, ring = _box(value.get("bbox"), size), _ring(value.get("segmentation"), size)
        except AnnotationError as error:
            refused.append(RefusedRecord(f"{file_name}: annotation {value['id']}", str(error)))
            continue
        ids.append(str(value["id"]))
        boxes.append(box)
        rings.append(ring)
    if not ids:
        return Annotations.none(), refused
    return Annotations(np.array(ids), np.stack(boxes), Polygons.of_rings(rings)), refused


def _refuse(reason: str) -> NoReturn:
    raise AnnotationError(reason)


def _box(value: object, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return ``x0, y0, x1, y1``; COCO boxes are x, y, width, height without a pixel more."""
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
        _refuse(f"its bbox is {value!r:.80}, expected four finite numbers x, y, width, height")
    x, y, width, height = map(float, value)
    if width <= 0 or height <= 0:
        hint = "is it x0, y0, x1, y1 by mistake?" if width < 0 or height < 0 else "nothing is in it"
        _refuse(f"its bbox {value} has width {width:g} and height {height:g}, expected > 0; {hint}")
    box = np.array([x, y, x + width, y + height])
    limits = np.array([*size, *size], np.float64)
    inside: NDArray[np.float64] = np.clip(box, 0, limits)
    # A box that rounding moved out is cut; one that lies elsewhere belongs to another image.
    if np.abs(box - inside).max() > ROUNDING_PX or (inside[2:] <= inside[:2]).any():
        _refuse(
            f"its bbox {value} reaches out of the image of {size[0]} x {size[1]} px by more than "
            f"{ROUNDING_PX:g} px; is it of another image or scale?"
        )
    return inside


def _ring(value: object, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the largest outline, (k, 2) x, y; without points where only a box is known."""
    nothing = np.zeros((0, 2), np.float64)
    if value is None or isinstance(value, dict):  # run lengths say no more than the box to us
        return nothing
    if not isinstance(value, list):
        _refuse(f"its segmentation is {value!r:.60}, expected a list of polygons")
    rings = [_points(one, size) for one in value]
    return max(rings, key=_area, default=nothing)


def _points(value: object, size: tuple[int, int]) -> NDArray[np.float64]:
    numbers = isinstance(value, list) and all(map(is_number, value))
    if (
        not numbers
        or not isinstance(value, list)
        or len(value) % 2
        or len(value) < 2 * MINIMUM_POINTS
    ):
        _refuse(
            f"its segmentation holds {value!r:.60}, expected x and y of at least "
            f"{MINIMUM_POINTS} points in turn"
        )
    points = np.array(value, np.float64).reshape(-1, 2)
    inside: NDArray[np.float64] = np.clip(points, 0, np.array(size, np.float64))
    return inside


def _area(ring: NDArray[np.float64]) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
