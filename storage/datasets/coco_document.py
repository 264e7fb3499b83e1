"""The JSON of a COCO dataset, read as a stream and checked before anything trusts it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from models.errors import AnnotationError, InputError, WrongUseError
from storage.datasets.coco_shapes import Record, record_of
from storage.datasets.json_lists import (
    Key,
    as_text,
    is_key,
    is_number,
    is_text,
    kind_of,
    read_lists,
)
from storage.datasets.naming import naming, unusable
from storage.datasets.protocol import RefusedItem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Document", "ImageEntry", "as_text", "filtered", "find_file", "is_key", "is_number",
           "is_text", "read_document"]  # fmt: skip

FILE_NAMES = ("annotations_coco.json", "annotations.json", "instances*.json")
MAXIMUM_IMAGES = 1_000_000
MAXIMUM_RECORDS = 2_000_000
"""Half a gigabyte of boxes."""
MAXIMUM_TEXT = 1000
"""Characters of a value of an image; longer ones group and filter nothing."""


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """One image of the file, with an id and a file name that can be used."""

    key: Key
    file_name: str
    name: str
    """Unique in the file: the stem, or more of the path where two share it."""
    values: Mapping[str, Any]
    """Everything that the file says of the image."""

    def text(self, *keys: str) -> str | None:
        """Return the first of the values that is there, as text."""
        found = (self.values.get(key) for key in keys)
        return next((as_text(value) for value in found if value is not None), None)


@dataclass(frozen=True, slots=True)
class Document:
    """A COCO file whose lists are lists."""

    path: Path
    images: tuple[ImageEntry, ...]
    keys: frozenset[Key]
    """Ids of all images, also of those refused: what belongs to them is no error of its own."""
    records: Sequence[Record]
    """The annotations, as far as they can be checked without their image."""
    categories: Mapping[Key, str]
    refused: tuple[RefusedItem, ...]
    """Images whose entries cannot be used."""


def find_file(path: Path) -> Path:
    """Return the JSON file: the path itself, or the one that a folder holds.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder. Give a COCO JSON file or its folder.")
    for pattern in FILE_NAMES:
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            listed = ", ".join(one.name for one in found)
            raise InputError(f"{path}: {listed} could all be meant. Give the path of one of them.")
        if found:
            return found[0]
    raise InputError(
        f"{path}: none of {', '.join(FILE_NAMES)} there. Give the path of the COCO JSON file."
    )


def read_document(path: Path) -> Document:
    """Return a COCO file with its images checked and named.

    Raises
    ------
    AnnotationError
        If the file is too large, not JSON or not COCO.
    """
    images: list[Any] = []
    records: list[Record] = []
    categories: list[Any] = []

    def take_image(value: object) -> None:
        _require_fewer(path, "images", len(images), MAXIMUM_IMAGES)
        images.append(_scalars(value))

    def take_record(value: object) -> None:
        _require_fewer(path, "annotations", len(records), MAXIMUM_RECORDS)
        records.append(record_of(value, len(records)))

    def take_category(value: object) -> None:
        _require_fewer(path, "categories", len(categories), MAXIMUM_IMAGES)
        categories.append(value)

    lists = {"images": take_image, "annotations": take_record, "categories": take_category}
    names = read_lists(path, lists)
    for name in lists:
        if name not in names:
            raise AnnotationError(
                f"{path}: {name!r} is missing, expected a list (an empty one if there are none). "
                f"Check the export."
            )
    accepted, refused = _images(images)
    listed = (one.get("id") for one in images if isinstance(one, dict))
    return Document(
        path=path,
        images=accepted,
        keys=frozenset(key for key in listed if is_key(key)),
        records=records,
        categories=_categories(path, categories),
        refused=refused,
    )


def _require_fewer(path: Path, name: str, n: int, most: int) -> None:
    if n == most:
        raise AnnotationError(
            f"{path}: more than {most} {name}. Split the dataset into several files."
        )


def _scalars(value: object) -> object:
    """Return an entry without lists, objects and long texts, of which only a part stays."""
    if not isinstance(value, dict):
        return value
    return {
        key: one if key in _WHOLE or _is_short(one) else as_text(one)[:MAXIMUM_TEXT]
        for key, one in value.items()
    }


_WHOLE = {"id", "file_name"}


def _is_short(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= MAXIMUM_TEXT
    return not isinstance(value, dict | list)


def _images(values: Sequence[Any]) -> tuple[tuple[ImageEntry, ...], tuple[RefusedItem, ...]]:
    wrong = [_wrong_image(value) for value in values]
    usable = [value for value, reason in zip(values, wrong, strict=True) if not reason]
    keys = Counter(value["id"] for value in usable)
    files = Counter(str(PurePosixPath(value["file_name"])) for value in usable)
    name_of = naming(value["file_name"] for value in usable)
    images: list[ImageEntry] = []
    refused = [
        RefusedItem(f"images[{index}]", reason) for index, reason in enumerate(wrong) if reason
    ]
    for value in usable:
        key, file_name = value["id"], value["file_name"]
        if keys[key] > 1:
            reason = f"image id {key!r} is used {keys[key]} times; ids must be unique"
            refused.append(RefusedItem(file_name, f"{reason}, else boxes land on the wrong image"))
        elif files[str(PurePosixPath(file_name))] > 1:
            reason = "the file is listed more than once; merge the entries into one"
            refused.append(RefusedItem(f"{file_name} (image id {key!r})", reason))
        else:
            images.append(ImageEntry(key, file_name, name_of(file_name), value))
    return tuple(images), tuple(refused)


def _wrong_image(value: object) -> str:
    if not isinstance(value, dict):
        return f"the entry is a {kind_of(value)}, expected an object with id and file_name"
    if not is_key(value.get("id")):
        return f"its id is {value.get('id')!r}, expected a number or text"
    name = value.get("file_name")
    if not isinstance(name, str) or not name or unusable(name):
        return f"its file_name is {name!r}, expected the path of a file"
    return ""


def _categories(path: Path, values: Sequence[Any]) -> dict[Key, str]:
    categories: dict[Key, str] = {}
    for value in values:
        usable = isinstance(value, dict) and is_key(value.get("id"))
        if not usable or not isinstance(value.get("name"), str):
            raise AnnotationError(
                f"{path}: category {value!r} has no id and name; expected "
                f'{{"id": 1, "name": "cell"}}. Check the export.'
            )
        if value["id"] in categories:
            raise AnnotationError(f"{path}: category id {value['id']!r} is used twice; rename one.")
        categories[value["id"]] = value["name"]
    return categories


def filtered(document: Document, where: Mapping[str, str]) -> list[ImageEntry]:
    """Return the images whose own keys have the wanted values, compared as text.

    Raises
    ------
    WrongUseError
        If no image has a key or a value that is asked for.
    """
    images = list(document.images)
    for key, wanted in where.items():
        present = {image.text(key) for image in images} - {None}
        images = [image for image in images if image.text(key) == wanted]
        if not images and document.images:
            values = ", ".join(sorted(str(one) for one in present)[:_VALUES_SHOWN]) or "none at all"
            raise WrongUseError(
                f"{document.path}: --where {key}={wanted} leaves no image. Values of {key!r} "
                f"there: {values}."
            )
    return images


_VALUES_SHOWN = 8
