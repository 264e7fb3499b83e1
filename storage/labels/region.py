"""One region of a label version: little to send to whoever works on it, wherever that is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.arrays import open_array
from storage.checked import altered_error
from storage.labels.contract import RegionLabels
from storage.labels.records import read_kin, read_parents, read_records
from storage.labels.schema import CELLS, CLASSES, RECORDS

if TYPE_CHECKING:
    from pathlib import Path

    import zarr
    from numpy.typing import NDArray

    from models.annotations import CellRecords, Ragged
    from storage.labels.schema import RegionEntry


@dataclass(frozen=True, slots=True)
class StoredRegion:
    """Where the labels of one region lie, and what their version says of them."""

    region_id: str
    folder: Path
    """Absolute: a worker has a working directory of its own."""
    entry: RegionEntry
    records_sha256: str
    """Of the file of records, as it was written."""

    def classes(self) -> zarr.Array[Any]:
        """Return the (h, w) uint8 array of `PixelClass`."""
        return open_array(self.folder / CLASSES)

    def cells(self) -> zarr.Array[Any]:
        """Return the (h, w) uint32 array of cell ids."""
        return open_array(self.folder / CELLS)

    def records(self) -> CellRecords:
        """Return where each cell comes from, boxes and outlines in level-0 pixels.

        Raises
        ------
        IntegrityError
            If the table was altered on disk.
        """
        return read_records(self._table())

    def parents(self) -> tuple[NDArray[np.uint32], Ragged]:
        """Return the cell ids of the region and the parents of each; quicker than all records."""
        return read_parents(self._table())

    def kin(self, cells: NDArray[np.uint32]) -> CellRecords:
        """Return the records of some cells and of all that share a parent, without outlines."""
        return read_kin(self._table(), cells)

    def labels(self) -> RegionLabels:
        """Return all of it, decoded."""
        return RegionLabels(
            self.entry.placement,
            np.asarray(self.classes()[:]),
            np.asarray(self.cells()[:]),
            self.records(),
            self.entry.next_cell_id,
        )

    def _table(self) -> bytes:
        """Return the bytes of the table of records as they were written."""
        # Parquet would read some flipped bits as other numbers; pixels carry checksums themselves.
        return unaltered(self.folder / RECORDS, self.records_sha256)


def unaltered(path: Path, sha256: str) -> bytes:
    """Return the content of a file that is as it was written.

    Raises
    ------
    IntegrityError
        If it is not.
    """
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise altered_error(path)
    return content
