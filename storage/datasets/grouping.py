"""Which items belong together: the group that hard folds keep whole, and what ties groups."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from storage.datasets.splits import N_FOLDS, Bundle, place_bundles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storage.datasets.protocol import SourceItem
    from storage.datasets.registered import Catalogue

TIES = ("slide", "patient")
"""Attributes that keep items together, whatever the groups are."""


@dataclass(frozen=True, slots=True)
class Split:
    """The hard split of a dataset, and who lies where."""

    group_by: tuple[str, ...]
    bundles: tuple[Bundle, ...]
    bundle_of: Mapping[str, Bundle]
    """By tie."""

    @classmethod
    def of(
        cls,
        items: Sequence[SourceItem],
        group_by: tuple[str, ...],
        before: Catalogue | None,
        seed: int,
    ) -> Split:
        """Return the split of items, with what the version before it had placed left in place."""
        bundles = place_bundles(
            {item.name: _ties(item, group_by) for item in items},
            placed=before.bundles if before else (),
            seed=seed,
        )
        ordered = tuple(sorted(bundles, key=lambda bundle: bundle.name))
        return cls(group_by, ordered, {tie: bundle for bundle in bundles for tie in bundle.ties})

    def bundle(self, item: SourceItem) -> Bundle:
        """Return where an item lies."""
        return self.bundle_of[_ties(item, self.group_by)[0]]

    def sizes(self, items: Sequence[SourceItem]) -> tuple[int, ...]:
        """Return how many groups with items lie in each fold."""
        used = {bundle.name: bundle.place.fold for bundle in map(self.bundle, items)}
        counts = Counter(used.values())
        return tuple(counts[fold] for fold in range(N_FOLDS))

    def to_json(self) -> dict[str, Any]:
        """Return the split as the catalogue keeps it."""
        bundles = [
            {"name": one.name, "ties": sorted(one.ties), **asdict(one.place)}
            for one in self.bundles
        ]
        return {"group_by": list(self.group_by), "n_folds": N_FOLDS, "bundles": bundles}


def grouping_for(items: Sequence[SourceItem], before: Catalogue | None) -> tuple[str, ...]:
    """Return the attributes that name groups where a user chose none."""
    if before:
        return before.group_by
    organs = {item.attributes.get("organ") for item in items} - {None}
    # Fewer organs than folds would leave a fold without anything to train, validate or test on.
    return ("organ", "slide") if len(organs) >= N_FOLDS else ("slide",)


def slide_of(item: SourceItem) -> str:
    """Return the slide of an item: a file is its own slide unless it says otherwise."""
    return item.attributes.get("slide", item.name)


def group_of(item: SourceItem, group_by: Sequence[str]) -> tuple[str, str]:
    """Return the key and the value of the group of an item."""
    attributes = {**item.attributes, "slide": slide_of(item)}
    key = next((key for key in group_by if key in attributes), "slide")
    return key, attributes[key]


def _ties(item: SourceItem, group_by: Sequence[str]) -> tuple[str, ...]:
    attributes = {**item.attributes, "slide": slide_of(item)}
    shared = [f"{key}={attributes[key]}" for key in TIES if key in attributes]
    return ("=".join(group_of(item, group_by)), *shared)


_TILE = re.compile(r"(?P<slide>.+?)[@_-]x?\d+[,_-]y?\d+", re.ASCII | re.IGNORECASE)


def named_like_tiles(items: Sequence[SourceItem], split: Split) -> dict[str, tuple[str, ...]]:
    """Return items of different groups whose names end in two numbers after the same beginning.

    They may be tiles of one slide, which may overlap; only a person can tell. Items that say of
    which slide they are do not count.

    Returns
    -------
    dict
        The names by their beginning.
    """
    found: dict[str, list[SourceItem]] = defaultdict(list)
    for item in items:
        match = _TILE.fullmatch(item.name)
        if match and slide_of(item) == item.name:
            found[match["slide"]].append(item)
    return {
        slide: tuple(sorted(item.name for item in tiles))
        for slide, tiles in sorted(found.items())
        if len({split.bundle(item).name for item in tiles}) > 1
    }
