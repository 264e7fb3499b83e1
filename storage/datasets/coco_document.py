"""The JSON of a COCO dataset, read with a limit and checked before anything trusts it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeGuard

from models.errors import AnnotationError, InputError, WrongUseError
from storage.datasets.naming import naming, unusable
from storage.datasets.protocol import RefusedItem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAXIMUM_JSON_MB = 512
FILE_NAMES = ("annotations_coco.json", "annotations.json", "instances*.json")

LARGEST = 2.0**53
"""Above, whole numbers of pixels are no longer exact."""

Key = int | str
"""COCO ids are numbers; some exporters write text."""


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
    annotations: Sequence[Any]
    categories: Mapping[Key, str]
    refused: tuple[RefusedItem, ...]
    """Images whose entries cannot be used."""


def as_text(value: object) -> str:
    """Return a JSON value as a person would type it."""
    return value if isinstance(value, str) else json.dumps(value)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a JSON value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < LARGEST  # false for NaN, and no overflow for whole numbers of any length


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a JSON value is text that can be stored: JSON allows halves of characters."""
    return isinstance(value, str) and not any("\ud800" <= one <= "\udfff" for one in value)


def is_key(value: object) -> TypeGuard[Key]:
    """Return whether a JSON value can be an id."""
    return is_text(value) or (isinstance(value, int) and not isinstance(value, bool))


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
    value = _load(path)
    if not isinstance(value, dict):
        raise AnnotationError(
            f"{path}: holds a JSON {_kind(value)}, expected an object with images, annotations and "
            f"categories. COCO results files have no images; give the truth file."
        )
    for key in ("images", "annotations", "categories"):
        if not isinstance(value.get(key), list):
            got = f"is a JSON {_kind(value[key])}" if key in value else "is missing"
            raise AnnotationError(
                f"{path}: {key!r} {got}, expected a list (an empty one if there are none). Check "
                f"the export."
            )
    images, refused = _images(value["images"])
    listed = (one.get("id") for one in value["images"] if isinstance(one, dict))
    return Document(
        path=path,
        images=images,
        keys=frozenset(key for key in listed if is_key(key)),
        annotations=value["annotations"],
        categories=_categories(path, value["categories"]),
        refused=refused,
    )


def _load(path: Path) -> object:
    try:
        size_mb = path.stat().st_size / 2**20
        if size_mb > MAXIMUM_JSON_MB:
            raise AnnotationError(
                f"{path}: {size_mb:.0f} MB of JSON, at most {MAXIMUM_JSON_MB} are read. Split the "
                f"dataset into several files."
            )
        return json.loads(path.read_bytes())
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror}).") from error
    except RecursionError as error:
        raise AnnotationError(f"{path}: JSON nested too deeply to be a dataset.") from error
    except ValueError as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{path}: not JSON ({error}). Export or copy it again.") from error


def _kind(value: object) -> str:
    kinds = {dict: "object", list: "list", str: "text", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")


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
        return f"the entry is a {_kind(value)}, expected an object with id and file_name"
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
