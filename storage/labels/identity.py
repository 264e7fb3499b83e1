"""What names a label version: digests over what it holds, not over how it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Origin
from storage.artefacts import digest_of
from storage.labels.records import content_digest, human_digest
from storage.labels.schema import RegionEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage.labels.contract import RegionLabels

FACTS = ("parent", "chain", "round", "stage", "parameters")
"""What a version says of its making that is part of its identity."""


def version_digest(facts: Mapping[str, Any], entries: Mapping[str, RegionEntry]) -> str:
    """Return the name of a version.

    Parameters
    ----------
    facts
        At least `FACTS`; what else there is, such as a date, does not count.
    entries
        Its regions.
    """
    content = {region_id: entry.content for region_id, entry in sorted(entries.items())}
    return digest_of({**{name: facts[name] for name in FACTS}, "regions": content})


def region_entry(labels: RegionLabels) -> RegionEntry:
    """Return what a version says of a region, computed from its decoded labels."""
    records, place = labels.records, labels.placement
    transform = np.array([place.x0, place.y0, place.downsample, labels.next_cell_id], np.float64)
    counts = {origin: int(np.count_nonzero(records.origins == origin)) for origin in Origin}
    return RegionEntry(
        placement=place,
        next_cell_id=labels.next_cell_id,
        content=content_digest(records, transform, labels.classes, labels.cells),
        n_cells={origin.name.lower(): count for origin, count in counts.items() if count},
        human_count=counts[Origin.HUMAN],
        human_digest=human_digest(records),
    )
