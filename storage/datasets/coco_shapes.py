"""One annotation of a COCO file: its ids, box and outline, packed as small as they are kept.

Millions of them are in memory at once, until the images and categories that they name are known:
COCO's own files list the categories last.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from models.errors import AnnotationError
from models.geometry.rings import ring_area
from storage.datasets.json_lists import LARGEST, is_key, is_number, is_text
from storage.datasets.pixel_outlines import pixel_outline
from storage.datasets.run_lengths import LARGEST_RUN, crop_of, unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from storage.datasets.json_lists import Key

MINIMUM_POINTS = 3
MAXIMUM_POINTS = 100_000
"""Of one outline; of a cell's, a few hundred are many."""
_BOX = struct.Struct("<4d")
_FLOAT, _RUN = np.dtype("<f8"), np.dtype("<u4")


@dataclass(slots=True)
class Record:
    """One annotation, as far as it can be checked without its image."""

    name: str
    """For messages."""
    id: str
    image: Key | None
    category: Key | None
    wrong: str
    """Why it belongs nowhere; then nothing else counts."""
    flaw: str = ""
    """Why its geometry cannot be used."""
    box: bytes = b""
    """``x0, y0, x1, y1``."""
    ring: bytes = b""
    """``x, y`` of the largest outline; of a mask, its run lengths."""
    mask_size: tuple[int, int] | None = None
    """Width and height of the mask; None for an outline."""
    n_pieces: int = 1
    scored: bool = False
    """Whether it has a score, as what a network found has."""
    own_id: str = ""
    """What the person's annotation was called before signetflow exported it under a number."""


class Outline(NamedTuple):
    """The outline of a record on its image."""

    ring: NDArray[np.float64]
    """(k, 2) ``x, y``; no points where only the box is known."""
    n_pieces: int
    has_holes: bool
    is_cut: bool
    """Whether the border of the image moved a point."""


_NO_OUTLINE = Outline(np.zeros((0, 2)), n_pieces=1, has_holes=False, is_cut=False)


def record_of(value: object, index: int) -> Record:
    """Return an entry of the list of annotations, checked and packed."""
    if not isinstance(value, dict):
        reason = f"the entry is {value!r:.60}, expected an object"
        return Record(f"annotations[{index}]", "", None, None, reason)
    keys = {key: value.get(key) for key in ("id", "image_id", "category_id")}
    name = f"annotation {keys['id']}" if is_key(keys["id"]) else f"annotations[{index}]"
    for key, one in keys.items():
        if not is_key(one):
            reason = f"its {key} is {one!r:.60}, expected a number or text"
            return Record(name, "", None, None, reason)
    record = Record(name, str(keys["id"]), keys["image_id"], keys["category_id"], "")
    record.scored = value.get("score") is not None
    own_id = value.get("annotation_id")
    # A number was kept as the id, or is that of another copy of the cell.
    if isinstance(own_id, str) and is_text(own_id) and not own_id.isdigit():
        record.own_id = own_id
    try:
        _pack(value, record)
    except AnnotationError as error:
        record.flaw = str(error)
    return record


def _pack(value: dict[str, Any], record: Record) -> None:
    if value.get("iscrowd"):
        _refuse("it outlines a crowd (iscrowd), not one cell")
    record.box = _packed_box(value.get("bbox"))
    shape = value.get("segmentation")
    if isinstance(shape, list):
        rings = [_points(one) for one in shape]
        record.n_pieces = max(len(rings), 1)
        ring = max(rings, key=ring_area) if len(rings) > 1 else (rings or [np.zeros((0, 2))])[0]
        record.ring = ring.astype(_FLOAT, copy=False).tobytes()
    elif isinstance(shape, dict):
        record.mask_size = _mask_size(shape.get("size"))
        record.ring = _runs(shape.get("counts")).astype(_RUN).tobytes()
    elif shape is not None:
        _refuse(f"its segmentation is {shape!r:.60}, expected a list of polygons, or run lengths")


def _refuse(reason: str) -> NoReturn:
    raise AnnotationError(reason)


def _packed_box(value: object) -> bytes:
    """Return ``x0, y0, x1, y1``; COCO boxes are x, y, width, height without a pixel more."""
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
        _refuse(f"its bbox is {value!r:.80}, expected four finite numbers x, y, width, height")
    x, y, width, height = map(float, value)
    if width <= 0 or height <= 0:
        hint = "is it x0, y0, x1, y1 by mistake?" if width < 0 or height < 0 else "nothing is in it"
        _refuse(f"its bbox {value} has width {width:g} and height {height:g}, expected > 0; {hint}")
    return _BOX.pack(x, y, x + width, y + height)


def _points(value: object) -> NDArray[np.float64]:
    if isinstance(value, list) and len(value) > 2 * MAXIMUM_POINTS:
        _refuse(f"its outline has {len(value) // 2} points, at most {MAXIMUM_POINTS} are read")
    numbers = _numbers(value)
    if numbers is None or len(numbers) % 2 or len(numbers) < 2 * MINIMUM_POINTS:
        _refuse(
            f"its segmentation holds {str(value)[:60]}, expected x and y of at least "
            f"{MINIMUM_POINTS} points in turn"
        )
    return numbers.reshape(-1, 2)


def _numbers(value: object) -> NDArray[np.float64] | None:
    """Return a list of finite numbers as an array, anything else as None."""
    if not isinstance(value, list) or not set(map(type, value)) <= {int, float}:
        return None
    try:
        numbers = np.array(value, np.float64)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return numbers if (np.abs(numbers) < LARGEST).all() else None  # false for NaN


def _mask_size(value: object) -> tuple[int, int]:
    whole = isinstance(value, list) and len(value) == 2
    if not whole or not isinstance(value, list) or not all(type(one) is int for one in value):
        _refuse(f"the size of its mask is {value!r:.60}, expected height and width")
    return value[1], value[0]


def _runs(value: object) -> NDArray[np.int64]:
    """Return run lengths (n,), however they are written."""
    if isinstance(value, str):
        counts = unpacked(value)
    elif (numbers := _numbers(value)) is not None:
        counts = numbers.astype(np.int64)
        if (counts != numbers).any():
            _refuse("its run lengths are no whole numbers")
    else:
        _refuse(f"its run lengths are {str(value)[:60]}, expected a list or text of COCO")
    if len(counts) > 2 * MAXIMUM_POINTS:
        _refuse(f"its mask has {len(counts)} runs, at most {2 * MAXIMUM_POINTS} are read")
    if counts.min(initial=0) < 0 or counts.max(initial=0) > LARGEST_RUN:
        _refuse("its run lengths hold a number that is no length")
    return counts


def boxes_of(records: list[Record]) -> NDArray[np.float64]:
    """Return the boxes of records without a flaw, (n, 4)."""
    packed = b"".join(record.box for record in records)
    return np.frombuffer(packed, _FLOAT).astype(np.float64).reshape(-1, 4)


def outline_of(record: Record, size: tuple[int, int]) -> Outline:
    """Return the outline of a record on an image of that width and height.

    Raises
    ------
    AnnotationError
        If its mask is none of that image.
    """
    if record.mask_size is None:
        if not record.ring:
            return _NO_OUTLINE
        ring = np.frombuffer(record.ring, _FLOAT).astype(np.float64).reshape(-1, 2)
        inside = np.clip(ring, 0, np.array(size, np.float64))
        return Outline(
            inside, record.n_pieces, has_holes=False, is_cut=bool((ring != inside).any())
        )
    if record.mask_size != size:
        width, height = record.mask_size
        _refuse(
            f"its mask is of an image of {width} x {height} px, its own has {size[0]} x {size[1]}"
        )
    crop = crop_of(np.frombuffer(record.ring, _RUN).astype(np.int64), size)
    found = pixel_outline(crop.mask)
    ring = found.ring + np.array([crop.x0, crop.y0], np.float64)
    return Outline(ring, found.n_pieces, found.has_holes, is_cut=False)
