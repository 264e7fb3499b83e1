"""Masks as COCO writes them: lengths of runs, column after column."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.errors import AnnotationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST, _LAST = ord("0"), ord("0") + 63
_MORE, _SIGN, _BITS = 0x20, 0x10, 5
_LONGEST = 7
"""Characters of a number below 2**32."""
LARGEST_RUN = 2**31


class Crop(NamedTuple):
    """The part of a mask that holds its pixels."""

    x0: int
    y0: int
    mask: NDArray[np.bool_]
    """(h, w), a pixel set in each outermost row and column."""


def unpacked(counts: str) -> NDArray[np.int64]:
    """Return the run lengths (n,) that pycocotools packs into text.

    Each number is split into groups of five bits, the lowest first, one character each with a sixth
    bit that tells whether more follow; from the fourth number on it is the difference to the last
    but one.

    Raises
    ------
    AnnotationError
        If the text holds something else.
    """
    try:
        codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64)
    except UnicodeEncodeError as error:
        raise AnnotationError("its run lengths are no text that COCO packs them in") from error
    if len(codes) == 0 or codes.min() < _FIRST or codes.max() > _LAST:
        raise AnnotationError("its run lengths are no text that COCO packs them in")
    codes -= _FIRST
    ends = np.flatnonzero(codes & _MORE == 0)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    lengths = ends + 1 - starts
    if len(ends) == 0 or ends[-1] != len(codes) - 1 or lengths.max() > _LONGEST:
        raise AnnotationError("its run lengths are cut off, or too long for an image")
    place = np.arange(len(codes)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & (_MORE - 1)) << (_BITS * place), starts)
    negative = (codes[ends] & _SIGN) != 0
    numbers -= negative << (_BITS * lengths)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def crop_of(counts: NDArray[np.int64], size: tuple[int, int]) -> Crop:
    """Return the pixels that run lengths set, in an image of that width and height.

    Parameters
    ----------
    counts : (n,) int64
        Pixels left out, set, left out, ... from the top of the leftmost column on.
    size
        Width and height.

    Raises
    ------
    AnnotationError
        If they do not fit the image, or set nothing.
    """
    width, height = size
    if counts.min(initial=0) < 0 or counts.max(initial=0) > LARGEST_RUN:
        raise AnnotationError("its run lengths hold a number that is no length")
    ends = np.cumsum(counts)
    if len(ends) == 0 or ends[-1] != width * height:
        got = int(ends[-1]) if len(ends) else 0
        raise AnnotationError(
            f"its run lengths make {got} pixels, the image of {width} x {height} px has "
            f"{width * height}"
        )
    starts, stops = ends[0:-1:2], ends[1::2]
    used = np.flatnonzero(stops > starts)
    if len(used) == 0:
        raise AnnotationError("its run lengths set no pixel")
    x0, x1 = int(starts[used[0]]) // height, (int(stops[used[-1]]) - 1) // height + 1
    flat = np.zeros((x1 - x0) * height + 1, np.int8)
    np.add.at(flat, starts[used] - x0 * height, 1)
    np.add.at(flat, stops[used] - x0 * height, -1)
    columns = np.cumsum(flat[:-1], dtype=np.int8).reshape(-1, height).astype(bool)
    rows = np.flatnonzero(columns.any(axis=0))
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    return Crop(x0, y0, np.ascontiguousarray(columns[:, y0:y1].T))
