"""Easy folds: the regions of each slide are spread over the folds (Li, sec. 3.1).

What a person looked at is placed at ingest, evenly, and stored, so that what joins later moves
nothing. Tissue around it is cut afterwards, by settings that may change: each of those regions
follows from its own name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from storage.datasets.splits import N_FOLDS, Place, hash_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.annotations import Role


class Looked(NamedTuple):
    """Of a region that a person looked at: what it must be spread evenly over."""

    slide: str
    role: Role


def place_looked_at(
    regions: Mapping[str, Looked],
    *,
    placed: Mapping[str, Place],
    twin_of: Mapping[str, str],
    seed: int = 0,
) -> dict[str, Place]:
    """Return the easy split: the places of before, and those of regions that join.

    One after the other, in the order of the hash of its name, a new region joins the fold with the
    fewest of its role from its slide, and of those the one with the fewest of its role; then the
    half with the fewest. A twin goes where its original is.

    Parameters
    ----------
    regions
        By region id.
    placed
        The easy split of the dataset's previous version.
    twin_of
        Regions that show the same pixels as another one of their group, and that one.
    seed
        What orders new regions.
    """
    places = dict(placed)
    tally = _Tally()
    for region, looked in regions.items():
        if region in placed:
            tally.add(looked, placed[region])
    families = _families(regions, twin_of)
    for leader in sorted(families, key=lambda one: (hash_of(seed, one), one)):
        known = next((places[one] for one in families[leader] if one in places), None)
        place = known or tally.emptiest(regions[leader])
        for one in families[leader]:
            if one not in places:
                places[one] = place
                tally.add(regions[one], place)
    return places


class _Tally:
    """How many regions lie where."""

    def __init__(self) -> None:
        self._of_slide: Counter[tuple[str, Role, int]] = Counter()
        self._of_role: Counter[tuple[Role, int]] = Counter()
        self._of_place: Counter[tuple[Role, Place]] = Counter()

    def add(self, looked: Looked, place: Place) -> None:
        self._of_slide[*looked, place.fold] += 1
        self._of_role[looked.role, place.fold] += 1
        self._of_place[looked.role, place] += 1

    def emptiest(self, looked: Looked) -> Place:
        fold = min(
            range(N_FOLDS),
            key=lambda one: (self._of_slide[*looked, one], self._of_role[looked.role, one], one),
        )
        places = (Place(fold, half) for half in (0, 1))
        return min(places, key=lambda one: (self._of_place[looked.role, one], one))


def _families(regions: Mapping[str, Looked], twin_of: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the regions that must stay together, by one of them."""
    families: dict[str, list[str]] = defaultdict(list)
    for region in sorted(regions):
        leader = region
        while leader in twin_of:
            leader = twin_of[leader]
        families[leader].append(region)
    return families


def place_of_tissue(region: str, seed: int) -> Place:
    """Return the easy place of a region that nobody looked at: it follows from its name."""
    drawn = hash_of(seed, region)
    return Place(drawn % N_FOLDS, drawn // N_FOLDS % 2)
