"""What an ingest did not take: counted in full, named in part, kept beside the dataset.

It is no part of a dataset's identity: the same content is the same version, whatever lay beside it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from storage.artefacts import storing, write_whole
from storage.datasets.protocol import RefusedItem
from storage.layout import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from storage.layout import Ref, Workspace

MOST_NAMED = 1000
"""Refused items that are kept by name; a folder of a million wrong files needs no million lines."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """What was refused."""

    count: int
    items: tuple[RefusedItem, ...]
    """The first of them, with the reason of each."""


def refusals_path(at: Workspace, ref: Ref) -> Path:
    """Return the file that says what was refused when a dataset was last registered."""
    return at.root / Kind.DATASET / "refused" / f"{ref.digest}.json"


def refusals_of(at: Workspace, ref: Ref) -> Refusals | None:
    """Return what was refused for a dataset, None where an older signetflow did not write it."""
    try:
        value = json.loads(refusals_path(at, ref).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Refusals(value["count"], tuple(RefusedItem(**one) for one in value["items"]))


def note_refusals(
    at: Workspace,
    ref: Ref,
    refused: Sequence[RefusedItem],
    *,
    parent: Ref | None = None,
    taken: Collection[str] = (),
) -> None:
    """Write down what was refused.

    Parameters
    ----------
    at, ref
        The workspace and the version that was registered.
    refused
        What its reader refused.
    parent
        The version whose items were kept; what was refused for it counts on.
    taken
        Names of the items of the new version: what was refused before and is there now, is not.
    """
    now = {one.name for one in refused}
    before = refusals_of(at, parent) if parent else None
    kept: list[RefusedItem] = []
    gone = 0
    for one in before.items if before else ():
        if one.name in now or one.name in taken:
            gone += 1
        else:
            kept.append(one)
    count = len(refused) + (before.count - gone if before else 0)
    items = [asdict(one) for one in (*refused, *kept)[:MOST_NAMED]]
    path = refusals_path(at, ref)
    with storing(path, "the list of refused files"):
        write_whole(path, json.dumps({"count": count, "items": items}, indent=1))
