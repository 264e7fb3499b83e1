"""Cells as columns: what a person drew, what a network found, what a label version records.

Coordinates are level-0 pixels, half-open: a box ``x0, y0, x1, y1`` covers ``[x0, x1) x [y0, y1)``.
Each table is one array per column rather than one object per cell: a slide has a million cells.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


class Role(StrEnum):
    """What is known of a region's cells."""

    POSITIVE = "positive"
    """Annotated, incompletely: unmarked tissue is unknown, never background."""
    NEGATIVE = "negative"
    """Guaranteed free of the target."""
    UNLABELLED = "unlabelled"
    """Nobody looked."""


class Origin(IntEnum):
    """Where a label came from."""

    HUMAN = 0
    WEAK = 1
    PSEUDO = 2
    CORRECTED = 3


class PixelClass(IntEnum):
    """Values of a label mask (Li, sec. 2.2)."""

    BACKGROUND = 0
    EDGE = 1
    INNER = 2
    IGNORE = 255


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of unequal length, one after the other.

    Row ``i`` is ``values[offsets[i]:offsets[i + 1]]``.
    """

    values: NDArray[Any]
    """All rows, concatenated along the first axis."""
    offsets: NDArray[np.int64]
    """(n + 1,), rising, from 0 to ``len(values)``."""

    @classmethod
    def of(cls, rows: Sequence[NDArray[Any]], like: NDArray[Any]) -> Self:
        """Return the rows joined; ``like`` is an empty array of the right dtype and inner shape."""
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        values = np.concatenate([like, *rows]).astype(like.dtype, copy=False)
        return cls(values, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows: NDArray[Any]) -> Self:
        """Return the given rows (indices or a mask), in that order."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        lengths = self.lengths()[index]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        shifts = np.repeat(self.offsets[:-1][index] - offsets[:-1], lengths)
        return type(self)(self.values[np.arange(offsets[-1]) + shifts], offsets)

    def lengths(self) -> NDArray[np.int64]:
        """Return the length of each row, (n,)."""
        return np.diff(self.offsets)


class Polygons(Ragged):
    """Closed rings of ``x, y`` points in level-0 pixels; a row without points has no outline.

    ``values`` is (m, 2) float64.
    """

    __slots__ = ()

    @classmethod
    def of_rings(cls, rings: Sequence[NDArray[np.float64]]) -> Self:
        """Return polygons from rings of shape (k, 2)."""
        return cls.of(rings, np.zeros((0, 2), np.float64))

    @classmethod
    def none(cls, n_cells: int) -> Self:
        """Return ``n_cells`` rows without an outline."""
        return cls(np.zeros((0, 2), np.float64), np.zeros(n_cells + 1, np.int64))


def empty_boxes() -> NDArray[np.float64]:
    """Return no boxes, (0, 4)."""
    return np.zeros((0, 4), np.float64)


class Columns:
    """What the tables below share: every field has one row per cell."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]  # subclasses are dataclasses

    def take(self, rows: NDArray[Any]) -> Self:
        """Return the given rows (indices or a mask), in that order."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]  # as above
        columns = (getattr(self, name) for name in names)
        return type(self)(*(c.take(rows) if isinstance(c, Ragged) else c[rows] for c in columns))

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Return the rows of all parts, in order; there must be at least one part."""
        tables = list(parts)
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # as above
        return cls(*(_joined_column([getattr(t, name) for t in tables]) for name in names))


def _joined_column(columns: list[Any]) -> Any:  # noqa: ANN401  # a column is an array or Ragged
    if isinstance(columns[0], Ragged):
        starts = np.cumsum([0, *(len(c.values) for c in columns[:-1])])
        offsets = [c.offsets[1:] + start for c, start in zip(columns, starts, strict=True)]
        values = np.concatenate([c.values for c in columns])
        return type(columns[0])(values, np.concatenate([np.zeros(1, np.int64), *offsets]))
    return np.concatenate(columns)


@dataclass(frozen=True, slots=True)
class Annotations(Columns):
    """What a person drew."""

    ids: NDArray[np.str_]
    """(n,) ids that are stable in the source file, unique within a dataset."""
    boxes: NDArray[np.float64]
    """(n, 4) ``x0, y0, x1, y1``."""
    polygons: Polygons
    """Outlines where a person drew one; rows without points where only the box is known."""

    @classmethod
    def none(cls) -> Self:
        """Return no annotations."""
        return cls(np.zeros(0, np.str_), empty_boxes(), Polygons.none(0))


@dataclass(frozen=True, slots=True)
class Detections(Columns):
    """What a network found."""

    boxes: NDArray[np.float64]
    """(n, 4) ``x0, y0, x1, y1``."""
    scores: NDArray[np.float64]
    """(n,) mean p(inner) over the instance, 0 to 1."""
    polygons: Polygons
    """The outline of each instance."""

    @classmethod
    def none(cls) -> Self:
        """Return no detections."""
        return cls(empty_boxes(), np.zeros(0, np.float64), Polygons.none(0))


@dataclass(frozen=True, slots=True)
class CellRecords(Columns):
    """Why each cell of one region is in a label version."""

    cell_ids: NDArray[np.uint32]
    """(n,) the value in the ``cells`` array; never used again for another cell of the chain."""
    boxes: NDArray[np.float64]
    """(n, 4) ``x0, y0, x1, y1``."""
    polygons: Polygons
    scores: NDArray[np.float64]
    """(n,) NaN for a person's cell: a person gives no score."""
    origins: NDArray[np.uint8]
    """(n,) values of `Origin`."""
    annotation_ids: NDArray[np.str_]
    """(n,) the person's annotation, empty for cells that nobody drew."""
    rounds: NDArray[np.int32]
    """(n,) the round that brought the cell in, 0 for the annotations."""
    stages: NDArray[np.str_]
    """(n,) the stage that brought it in: ingest, self, self_extra, cooperative."""
    checkpoints: NDArray[np.str_]
    """(n,) digest of the network that found it, empty for a person's."""
    votes: NDArray[np.int32]
    """(n,) how many views or networks agreed, 0 for a person's."""
    parents: Ragged
    """Cell ids in the parent version that the cell grew from; empty when it is new. uint32."""

    @classmethod
    def none(cls) -> Self:
        """Return no records."""
        text, whole = np.zeros(0, np.str_), np.zeros(0, np.int32)
        return cls(
            np.zeros(0, np.uint32), empty_boxes(), Polygons.none(0), np.zeros(0, np.float64),
            np.zeros(0, np.uint8), text, whole, text, text, whole,
            Ragged(np.zeros(0, np.uint32), np.zeros(1, np.int64)),
        )  # fmt: skip

    @property
    def is_human(self) -> NDArray[np.bool_]:
        """(n,) whether a person drew the cell."""
        mask: NDArray[np.bool_] = self.origins == Origin.HUMAN
        return mask
