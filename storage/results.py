"""Truth and detections from plain COCO files, for an evaluation without a workspace.

No image is opened. Each image of the truth file may carry ``role`` (positive, negative or
unlabelled), ``complete`` (whether every cell is annotated) and ``slide`` (what is resampled
together). Without a role, an image with annotations is positive; one without is negative only when
it is complete, because nobody may have looked at it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Role
from models.errors import AnnotationError, EmptyDatasetError, InputError, NotFoundError
from models.metrics.matching import ImageCells
from storage.datasets.json_lists import read_list, read_lists

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PORTION = 20_000
"""Predictions that are held as JSON together, ten times the size that they have as numbers."""
ANNOTATION_KEYS = ("id", "image_id", "bbox", "iscrowd", "category_id")
NUMBERS = {int, float}


@dataclass(frozen=True, slots=True)
class Results:
    """What an evaluation needs, and what a reader should be told."""

    images: tuple[ImageCells, ...]
    remarks: tuple[str, ...]
    """What was assumed or left out, one sentence each."""


def read_results(truth: Path, predictions: Path, class_name: str | None = None) -> Results:
    """Return the cells and detections of each image of the truth file.

    Parameters
    ----------
    truth : Path
        COCO: ``images``, ``annotations`` and, if a class is asked for, ``categories``.
    predictions : Path
        COCO results: a list of ``image_id``, ``bbox`` (x, y, width, height), ``score`` and, if a
        class is asked for, ``category_id``.
    class_name : str, optional
        The category to evaluate; otherwise all are taken for one.

    Raises
    ------
    InputError
        If a file is too large, not JSON or not of this form, or a record contradicts another.
    NotFoundError
        If the truth has no such class.
    """
    content = _truth(truth)
    images = _images(truth, content.get("images"))
    category = None if class_name is None else _category(truth, content, class_name)
    cells, crowds = _annotations(truth, content.get("annotations"), images, category)
    found = _predictions(predictions, images, category)
    joined = tuple(
        _image(truth, entry, cells.of(key), found.of(key)) for key, entry in images.items()
    )
    return Results(joined, _remarks(images, joined, crowds))


def _truth(path: Path) -> dict[str, list[Any]]:
    """Return the lists of a COCO file; of each annotation only what is needed, not its outline."""
    content: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}

    def annotation(row: object) -> None:
        if isinstance(row, dict):
            row = {key: row[key] for key in ANNOTATION_KEYS if key in row}
        content["annotations"].append(row)

    takers = {name: rows.append for name, rows in content.items()} | {"annotations": annotation}
    names = read_lists(path, takers)
    return {name: rows for name, rows in content.items() if name in names}


def _images(path: Path, entries: list[Any] | None) -> dict[int | str, dict[str, Any]]:
    """Return the image entries by id."""
    images: dict[int | str, dict[str, Any]] = {}
    for index, entry in enumerate(_list(path, entries, "images")):
        key = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise InputError(f"{path}: image {index} has no id, expected a whole number or text.")
        if key in images:
            raise InputError(f"{path}: image id {key!r} occurs twice. Ids must be unique.")
        images[key] = entry
    if not images:
        raise EmptyDatasetError(f"{path}: no images, nothing can be evaluated.")
    return images


def _list(path: Path, entries: list[Any] | None, key: str) -> list[Any]:
    if entries is None:
        raise InputError(f'{path}: no list "{key}". Expected a COCO file with images, annotations.')
    return entries


def _category(path: Path, content: dict[str, list[Any]], class_name: str) -> int:
    listed = _list(path, content.get("categories"), "categories")
    entries = [one for one in listed if isinstance(one, dict)]
    names = {str(one.get("name")): one.get("id") for one in entries}
    category = names.get(class_name)
    if not isinstance(category, int):
        known = ", ".join(sorted(names)) or "none"
        raise NotFoundError(f"{path}: no class {class_name!r}; the file has {known}.")
    return category


@dataclass(frozen=True, slots=True)
class _Grouped:
    """Boxes and scores by image."""

    boxes: NDArray[np.float64]
    """(n, 4) ``x0, y0, x1, y1``, sorted by image."""
    scores: NDArray[np.float64]
    span: dict[int | str, slice]

    def of(self, key: int | str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the boxes and scores of one image."""
        rows = self.span[key]
        return self.boxes[rows], self.scores[rows]


def _annotations(
    path: Path,
    entries: list[Any] | None,
    images: dict[int | str, dict[str, Any]],
    category: int | None,
) -> tuple[_Grouped, int]:
    rows = _list(path, entries, "annotations")
    _require(path, rows, images, first=None)
    for key, times in Counter(str(row["id"]) for row in rows if "id" in row).items():
        if times > 1:
            raise AnnotationError(
                f"{path}: annotation id {_short(key)} occurs {times} times. Ids must be unique."
            )
    single = [row for row in rows if not row.get("iscrowd")]
    kept = [row for row in single if category is None or row.get("category_id") == category]
    for row in kept:
        _require_inside(path, row, images[row["image_id"]])
    return _grouped([_columns(kept, images)], images), len(rows) - len(single)


def _require_inside(path: Path, row: dict[str, Any], image: dict[str, Any]) -> None:
    x, y, width, height = row["bbox"]
    right, bottom = image.get("width"), image.get("height")
    outside = x + width <= 0 or y + height <= 0
    outside |= type(right) in NUMBERS and x >= right
    outside |= type(bottom) in NUMBERS and y >= bottom
    if outside:
        raise AnnotationError(
            f"{path}: annotation {row.get('id')!r} at bbox {row['bbox']} lies outside image "
            f"{row['image_id']!r} ({right} x {bottom} px). COCO boxes are x, y, width, height."
        )


def _predictions(
    path: Path, images: dict[int | str, dict[str, Any]], category: int | None
) -> _Grouped:
    """Return the predictions of a results file, of which only a portion is held as JSON."""
    portions: list[_Columns] = []
    rows: list[Any] = []
    n_read = 0

    def finish() -> None:
        nonlocal n_read
        _require(path, rows, images, first=n_read)
        if category is not None and any("category_id" not in row for row in rows):
            raise InputError(f"{path}: a class is asked for and a prediction has no category_id.")
        kept = (row for row in rows if category is None or row["category_id"] == category)
        portions.append(_columns(list(kept), images))
        n_read += len(rows)
        rows.clear()

    def take(row: object) -> None:
        rows.append(row)
        if len(rows) == PORTION:
            finish()

    read_list(path, take)
    finish()
    return _grouped(portions, images)


def _require(
    path: Path, rows: list[Any], images: dict[int | str, Any], *, first: int | None
) -> None:
    """Raise for the first row that cannot be used; a look at all of them at once comes first.

    Rows are annotations, or predictions of which as many were read before as ``first`` says.
    """
    if _all_usable(rows, images, scored=first is not None):
        return
    noun = "annotation" if first is None else "prediction"
    for index, row in enumerate(rows, start=first or 0):
        problem = _problem(row, images, scored=first is not None)
        if problem:
            raise AnnotationError(f"{path}: {noun} {index} {problem}")


def _all_usable(rows: list[Any], images: dict[int | str, Any], *, scored: bool) -> bool:
    try:
        boxes = [row["bbox"] for row in rows]
        scores = [row["score"] for row in rows] if scored else []
        known = all(row["image_id"] in images for row in rows)
    except (KeyError, TypeError):
        return False
    lists = {type(box) for box in boxes} <= {list} and {len(box) for box in boxes} <= {4}
    if not (known and lists):
        return False
    if not {type(value) for value in chain(scores, chain.from_iterable(boxes))} <= NUMBERS:
        return False
    try:
        numbers = np.array(boxes, np.float64).reshape(-1, 4)
        finite = np.isfinite(numbers).all() and np.isfinite(np.array(scores, np.float64)).all()
    except OverflowError:
        return False
    return bool(finite and (numbers[:, 2:] > 0).all())


def _problem(row: object, images: dict[int | str, Any], *, scored: bool) -> str:
    """Return what is wrong with one row, or nothing."""
    if not isinstance(row, dict):
        return f"is {type(row).__name__}, expected an object with image_id and bbox."
    key = row.get("image_id")
    if not isinstance(key, int | str) or key not in images:
        return f"has image_id {key!r}, which no image of the truth file has."
    box = row.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        return f"has bbox {_short(box)}, expected four numbers x, y, width, height."
    if box[2] <= 0 or box[3] <= 0:
        return (
            f"has bbox {box} of width {box[2]} and height {box[3]}, both must be above 0. "
            "COCO boxes are x, y, width, height, not corners."
        )
    if scored and not _is_number(row.get("score")):
        return f"has score {_short(row.get('score'))}, expected a number."
    return ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_number(value: object) -> bool:
    try:
        return type(value) in NUMBERS and math.isfinite(value)  # type: ignore[arg-type]  # just asked
    except OverflowError:
        return False


@dataclass(frozen=True, slots=True)
class _Columns:
    """Rows as arrays."""

    place: NDArray[np.int64]
    """(n,) place of each row's image among all images."""
    boxes: NDArray[np.float64]
    """(n, 4) ``x, y, width, height``."""
    scores: NDArray[np.float64]


def _columns(rows: list[dict[str, Any]], images: dict[int | str, Any]) -> _Columns:
    places = {key: place for place, key in enumerate(images)}
    return _Columns(
        np.array([places[row["image_id"]] for row in rows], np.int64),
        np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4),
        np.array([row.get("score", 0.0) for row in rows], np.float64),
    )


def _grouped(portions: list[_Columns], images: dict[int | str, Any]) -> _Grouped:
    place = np.concatenate([one.place for one in portions])
    order = np.argsort(place, kind="stable")
    boxes = np.concatenate([one.boxes for one in portions])[order]
    scores = np.concatenate([one.scores for one in portions])[order]
    ends = np.cumsum(np.bincount(place, minlength=len(images))).tolist()
    span = {key: slice(*ends_of) for key, ends_of in zip(images, pairwise([0, *ends]), strict=True)}
    boxes[:, 2:] += boxes[:, :2]
    return _Grouped(boxes, scores, span)


def _image(
    path: Path,
    entry: dict[str, Any],
    cells: tuple[NDArray[np.float64], NDArray[np.float64]],
    found: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> ImageCells:
    name = str(entry.get("file_name", entry["id"]))
    complete = entry.get("complete", False)
    if not isinstance(complete, bool):
        raise InputError(f"{path}: image {name} has complete {complete!r}, expected true or false.")
    role = _role(path, name, entry.get("role"), len(cells[0]), complete=complete)
    slide = str(entry.get("slide", entry["id"]))
    return ImageCells(str(entry["id"]), slide, role, complete, cells[0], found[0], found[1])


def _role(path: Path, name: str, text: object, n_cells: int, *, complete: bool) -> Role:
    if text is None:
        empty = Role.NEGATIVE if complete else Role.UNLABELLED
        return Role.POSITIVE if n_cells else empty
    if not isinstance(text, str) or text not in set(Role):
        known = ", ".join(Role)
        raise InputError(f"{path}: image {name} has role {text!r}, expected one of {known}.")
    if text == Role.NEGATIVE and n_cells:
        raise AnnotationError(
            f"{path}: image {name} has role negative and {n_cells} annotations. A negative image "
            "is free of the target; make it positive or remove them."
        )
    return Role(text)


def _remarks(
    images: dict[int | str, dict[str, Any]], joined: Sequence[ImageCells], crowds: int
) -> tuple[str, ...]:
    bare = [one for entry, one in zip(images.values(), joined, strict=True) if "role" not in entry]
    count: Callable[[Role], int] = lambda role: sum(one.role is role for one in bare)  # noqa: E731
    remarks = []
    if bare:
        remarks.append(
            f"{len(bare)} images carry no role: {count(Role.POSITIVE)} with annotations are taken "
            f"as positive, {count(Role.NEGATIVE)} complete and empty as negative, "
            f"{count(Role.UNLABELLED)} others count for nothing."
        )
    if crowds:
        remarks.append(f"{crowds} crowd annotations (iscrowd) are left out.")
    return tuple(remarks)
