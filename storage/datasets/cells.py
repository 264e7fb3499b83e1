"""The tables of a dataset's cells: those a person marked, and all of them where known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.annotations import Annotations, Polygons

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SCHEMA = pa.schema(
    [
        ("item", pa.string()),
        ("id", pa.string()),
        *((corner, pa.float64()) for corner in ("x0", "y0", "x1", "y1")),
        ("polygon", pa.list_(pa.float64())),
    ]
)
"""`polygon` holds x and y in turn, and is empty where only the box is known."""
ANNOTATIONS = "annotations.parquet"
TRUTH = "truth.parquet"


@dataclass(frozen=True)
class CellTables:
    """The cells of the items in one folder, read when they are first asked for."""

    folder: Path

    @cached_property
    def _annotations(self) -> dict[str, Annotations]:
        return read_cells(self.folder / ANNOTATIONS)

    @cached_property
    def _truth(self) -> dict[str, Annotations]:
        return read_cells(self.folder / TRUTH)

    def annotations(self, item: str) -> Annotations:
        """Return what a person marked in an item, in level-0 pixels: right, but incomplete."""
        return self._annotations.get(item, Annotations.none())

    def truth(self, item: str) -> Annotations:
        """Return all cells of an item of which all are known, in level-0 pixels."""
        return self._truth.get(item, Annotations.none())


def write_tables(
    folder: Path, annotations: Mapping[str, Annotations], truth: Mapping[str, Annotations]
) -> None:
    """Write both tables for `CellTables` to read."""
    write_cells(folder / ANNOTATIONS, annotations)
    write_cells(folder / TRUTH, truth)


def write_cells(path: Path, cells_of: Mapping[str, Annotations]) -> None:
    """Write the cells of all items as one parquet file, item after item."""
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for item, cells in cells_of.items():
            if len(cells):
                writer.write_table(_table(item, cells))


def _table(item: str, cells: Annotations) -> pa.Table:
    points = pa.array(cells.polygons.values.ravel())
    polygons = pa.ListArray.from_arrays(pa.array(cells.polygons.offsets * 2, pa.int32()), points)
    columns = [
        pa.array([item] * len(cells)),
        pa.array(cells.ids.tolist(), pa.string()),
        *(pa.array(np.ascontiguousarray(cells.boxes[:, corner])) for corner in range(4)),
        polygons,
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def read_cells(path: Path) -> dict[str, Annotations]:
    """Return the cells by item; an item without any is not in the answer."""
    table = pq.read_table(path, schema=SCHEMA)
    if not len(table):
        return {}
    items = np.array(table["item"].to_pylist())
    starts = np.flatnonzero(np.concatenate([[True], items[1:] != items[:-1]]))
    ends = [*starts[1:].tolist(), len(items)]
    return {
        str(items[start]): _cells(table.slice(start, end - start))
        for start, end in zip(starts.tolist(), ends, strict=True)
    }


def _cells(table: pa.Table) -> Annotations:
    polygon = table["polygon"].combine_chunks()
    lengths = np.array([len(one) for one in polygon], np.int64) // 2
    points = polygon.flatten().to_numpy(zero_copy_only=False).reshape(-1, 2)
    offsets: NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    boxes = np.stack([table[corner].to_numpy() for corner in ("x0", "y0", "x1", "y1")], axis=1)
    ids = np.array(table["id"].to_pylist(), np.str_)
    return Annotations(ids, boxes, Polygons(np.array(points, np.float64), offsets))


def digest_of_cells(cells: Annotations) -> str:
    """Return the sha256 of ids, boxes and outlines, 64 hex digits."""
    sha = hashlib.sha256("\0".join(cells.ids.tolist()).encode())
    for values in (cells.boxes, cells.polygons.values):
        sha.update(np.ascontiguousarray(values, "<f8").tobytes())
    sha.update(np.ascontiguousarray(cells.polygons.offsets, "<i8").tobytes())
    return sha.hexdigest()
