"""What a label version says of itself, and the names of its files.

``labels/<version>/`` holds ``version.json`` (small, read by `log`), ``regions.json`` and one folder
per region with the arrays ``classes`` and ``cells`` and the table ``records.parquet``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from models.errors import IntegrityError
from models.geometry.tiles import Placement
from storage.artefacts import digest_of
from storage.layout import Kind, Ref

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from models.annotations import Origin

VERSION = "version.json"
REGIONS = "regions.json"
CLASSES = "classes"
CELLS = "cells"
RECORDS = "records.parquet"

PERSON_STAGES = frozenset({"ingest", "import"})
"""Stages that read a person's cells in; no other may change them."""


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One label version, without its pixels."""

    digest: str
    parent: str | None
    """Digest of the version it grew from."""
    chain: str
    """One chain per run, fold, arm and model."""
    round: int
    stage: str
    parameters: Mapping[str, Any]
    """How it was made, as JSON."""
    n_cells: Mapping[str, int]
    """Cells by `Origin`, in small letters; origins without cells are left out."""
    n_regions: int
    human_count: int
    human_digest: str
    """Over ids, boxes and annotation ids of a person's cells: never changes within a chain."""
    human_source: str
    """Digest of the nearest version in which a person's cells were read in; may be itself."""
    created: str
    """ISO 8601, UTC."""

    @property
    def ref(self) -> Ref:
        """Return the reference to the version."""
        return Ref(Kind.LABELS, self.digest)

    def count(self, origin: Origin) -> int:
        """Return the number of cells of an origin."""
        return self.n_cells.get(origin.name.lower(), 0)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RegionEntry:
    """One region of a label version, without its pixels."""

    placement: Placement
    next_cell_id: int
    """The first id that no cell of this region ever had."""
    content: str
    """Digest of pixels and records, decoded: another codec gives the same."""
    n_cells: Mapping[str, int] = field(default_factory=dict)
    human_count: int = 0
    human_digest: str = ""

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> Self:
        """Return the entry that `to_json` wrote."""
        return cls(**{**entry, "placement": Placement(**entry["placement"])})

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return asdict(self)


def human_total(entries: Mapping[str, RegionEntry]) -> tuple[int, str]:
    """Return count and digest of a person's cells over all regions.

    Regions without any do not count: a version may look at more tissue than its parent.
    """
    marked = {name: entry for name, entry in entries.items() if entry.human_count}
    count = sum(entry.human_count for entry in marked.values())
    return count, digest_of({name: entry.human_digest for name, entry in marked.items()})


def cells_by_origin(entries: Mapping[str, RegionEntry]) -> dict[str, int]:
    """Return the number of cells of each origin over all regions."""
    total: dict[str, int] = {}
    for entry in entries.values():
        for origin, count in entry.n_cells.items():
            total[origin] = total.get(origin, 0) + count
    return dict(sorted(total.items()))


def read_info(folder: Path) -> VersionInfo:
    """Return what a version says of itself, without checking its files.

    Raises
    ------
    IntegrityError
        If its description cannot be read.
    """
    try:
        return VersionInfo(**json.loads((folder / VERSION).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError(
            f"{folder / VERSION}: no readable description of a label version. Run the same command "
            f"again: what is damaged is made anew."
        ) from error
