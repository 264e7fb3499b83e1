"""Truth and detections from plain COCO files, for an evaluation without a workspace.

No image is opened. Each image of the truth file may carry ``role`` (positive, negative or
unlabelled), ``complete`` (whether every cell is annotated) and ``slide`` (what is resampled
together). Without a role, an image with annotations is positive; one without is negative only when
it is complete, because nobody may have looked at it.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Role
from models.errors import AnnotationError, EmptyDatasetError, InputError, NotFoundError
from models.metrics.matching import ImageCells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MAXIMUM_FILE_MB = 200
"""Larger files are refused: parsed JSON takes about ten times its size in memory."""

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
    content = _load(truth)
    images = _images(truth, content)
    category = None if class_name is None else _category(truth, content, class_name)
    cells, crowds = _annotations(truth, content, images, category)
    found = _predictions(predictions, _load(predictions), images, category)
    joined = tuple(
        _image(truth, entry, cells.of(key), found.of(key)) for key, entry in images.items()
    )
    return Results(joined, _remarks(images, joined, crowds))


def _load(path: Path) -> Any:  # noqa: ANN401  # whatever the file holds
    try:
        size_mb = path.stat().st_size / 1e6
        if size_mb > MAXIMUM_FILE_MB:
            raise InputError(
                f"{path}: {size_mb:.0f} MB, at most {MAXIMUM_FILE_MB} MB are read. "
                "Split the images over several files or leave out low scores and masks."
            )
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a JSON file ({error}). Expected COCO.") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")


def _images(path: Path, content: object) -> dict[int | str, dict[str, Any]]:
    """Return the image entries by id."""
    images: dict[int | str, dict[str, Any]] = {}
    for index, entry in enumerate(_list(path, content, "images")):
        key = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise InputError(f"{path}: image {index} has no id, expected a whole number or text.")
        if key in images:
            raise InputError(f"{path}: image id {key!r} occurs twice. Ids must be unique.")
        images[key] = entry
    if not images:
        raise EmptyDatasetError(f"{path}: no images, nothing can be evaluated.")
    return images


def _list(path: Path, content: object, key: str) -> list[Any]:
    entries = content.get(key) if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise InputError(f'{path}: no list "{key}". Expected a COCO file with images, annotations.')
    return entries


def _category(path: Path, content: object, class_name: str) -> int:
    entries = [one for one in _list(path, content, "categories") if isinstance(one, dict)]
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
        rows = self.span.get(key, slice(0, 0))
        return self.boxes[rows], self.scores[rows]


def _annotations(
    path: Path, content: object, images: dict[int | str, dict[str, Any]], category: int | None
) -> tuple[_Grouped, int]:
    rows = _list(path, content, "annotations")
    _require(path, rows, "annotation", images, scored=False)
    for key, times in Counter(str(row["id"]) for row in rows if "id" in row).items():
        if times > 1:
            raise AnnotationError(
                f"{path}: annotation id {_short(key)} occurs {times} times. Ids must be unique."
            )
    single = [row for row in rows if not row.get("iscrowd")]
    kept = [row for row in single if category is None or row.get("category_id") == category]
    for row in kept:
        _require_inside(path, row, images[row["image_id"]])
    return _grouped(kept), len(rows) - len(single)


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
    path: Path, content: object, images: dict[int | str, dict[str, Any]], category: int | None
) -> _Grouped:
    if not isinstance(content, list):
        raise InputError(
            f"{path}: expected COCO results, a list of image_id, bbox and score, "
            f"got {type(content).__name__}."
        )
    _require(path, content, "prediction", images, scored=True)
    if category is None:
        return _grouped(content)
    if any("category_id" not in row for row in content):
        raise InputError(f"{path}: a class is asked for and a prediction has no category_id.")
    return _grouped([row for row in content if row["category_id"] == category])


def _require(
    path: Path, rows: list[Any], noun: str, images: dict[int | str, Any], *, scored: bool
) -> None:
    """Raise for the first row that cannot be used; a look at all of them at once comes first."""
    if _all_usable(rows, images, scored=scored):
        return
    for index, row in enumerate(rows):
        problem = _problem(row, images, scored=scored)
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


def _grouped(rows: list[dict[str, Any]]) -> _Grouped:
    index: dict[int | str, int] = {}
    place = np.array([index.setdefault(row["image_id"], len(index)) for row in rows], np.int64)
    order = np.argsort(place, kind="stable")
    boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)[order]
    scores = np.array([row.get("score", 0.0) for row in rows], np.float64)[order]
    ends = np.cumsum(np.bincount(place, minlength=len(index)))
    starts = np.concatenate([np.zeros(1, np.int64), ends])
    span = {key: slice(int(starts[i]), int(starts[i + 1])) for key, i in index.items()}
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
