"""Writing one region of a label version: work that may be done anywhere.

Who does it writes into a folder of its own and answers with what the version says of the region.
Only the process that makes the version takes the folder over, and makes the version visible: what a
lost or doubled worker writes is never part of it.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import CellRecords, PixelClass
from storage.arrays import write_array
from storage.block_work import require_seen
from storage.labels.contract import (
    require_agreement,
    require_continuation,
    require_human_pixels,
    require_human_records,
)
from storage.labels.identity import region_entry
from storage.labels.records import human_digest, write_records
from storage.labels.schema import CELLS, CLASSES, RECORDS

if TYPE_CHECKING:
    from pathlib import Path

    from storage.labels.contract import RegionLabels
    from storage.labels.region import StoredRegion
    from storage.labels.schema import RegionEntry

LEVEL = 2
"""How hard zstd tries; not part of a version's identity, which is that of decoded content."""
WRITERS = 3
"""Threads of a process that write: pixels, ids, records."""


@cache
def _writers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(WRITERS, "labels")


@dataclass(frozen=True, slots=True)
class Written:
    """A region that was written, and is not yet part of its version."""

    region_id: str
    folder: Path
    entry: RegionEntry


@dataclass(frozen=True, slots=True)
class Site:
    """Where a region of a new version is written, and what it must not break."""

    region_id: str
    workshop: Path
    """Folder of what is being written. Absolute."""
    parent: StoredRegion | None = None
    """The same region in the version that the new one grows from."""
    drawn: StoredRegion | None = None
    """The same region in the version in which the cells of a person were read in."""
    keeps_drawn: bool = False
    """Whether the cells of a person may not change."""

    def write(self, labels: RegionLabels) -> Written:
        """Write the labels of the region.

        Raises
        ------
        LabelContractError
            If classes, cells and records are at odds, or a person's cell was changed.
        OperationsError
            If this worker does not see the workspace.
        """
        require_seen(self.workshop)
        self._check(labels)
        folder = self.workshop / uuid.uuid4().hex
        folder.mkdir()
        ignore, begin = int(PixelClass.IGNORE), _writers().submit
        # Compressing and hashing leave the interpreter free.
        written = (
            begin(write_array, folder / CELLS, labels.cells, 0, LEVEL),
            begin(write_array, folder / CLASSES, labels.classes, ignore, LEVEL),
            begin(write_records, folder / RECORDS, labels.records),
        )
        try:
            entry = region_entry(labels)
        finally:
            wait(written)  # nobody removes the folder of one that is being written
        for one in written:
            one.result()
        return Written(self.region_id, folder, entry)

    def _check(self, labels: RegionLabels) -> None:
        require_agreement(self.region_id, labels)
        if self.parent is not None:
            require_continuation(self.region_id, labels, self.parent.entry)
        if not self.keeps_drawn:
            return
        self._check_human_records(labels.records)
        if self.drawn is not None and labels.records.is_human.any():
            drawn = np.asarray(self.drawn.classes()[:]), np.asarray(self.drawn.cells()[:])
            require_human_pixels(self.region_id, labels, drawn)

    def _check_human_records(self, records: CellRecords) -> None:
        """Compare digests; the table of the parent is read only to say what is wrong."""
        if self.parent is None:
            require_human_records(self.region_id, records, CellRecords.none())
        elif human_digest(records) != self.parent.entry.human_digest:
            require_human_records(self.region_id, records, self.parent.records())
