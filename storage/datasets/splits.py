"""Which data may train, validate and test: fixed at ingest, and never moved afterwards.

*Hard* folds split groups (slides, patients, organs); *easy* folds split the regions of each slide
(`storage.datasets.easy`). Everything here follows from hashes of names, a seed and the version
before, so adding data moves nothing that is there.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, Protocol

from models.errors import DataLeakError, InputError, LeakError, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

N_FOLDS = 3
"""Li, sec. 3.1: three-fold cross-validation."""

Mode = Literal["hard", "easy"]


class Part(StrEnum):
    """What a region may be used for in one fold."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something lies in the split."""

    fold: int
    half: int
    """0 or 1: validation takes one half of a fold, training the other."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Groups that belong together, because an item, slide or patient ties them, and their place."""

    name: str
    """Of its first group, as ``key=value``."""
    ties: frozenset[str]
    """Every ``key=value`` that brings an item into this bundle."""
    place: Place


class SplitRegion(Protocol):
    """What the split knows of a region."""

    @property
    def region_id(self) -> str:
        """Return the region's name."""

    @property
    def group(self) -> str:
        """Return the group that hard folds keep together."""

    @property
    def easy_fold(self) -> int:
        """Return its fold when regions are split."""

    @property
    def easy_half(self) -> int:
        """Return its half of that fold."""

    @property
    def hard_fold(self) -> int:
        """Return its fold when groups are split."""

    @property
    def hard_half(self) -> int:
        """Return its half of that fold."""


def hash_of(seed: int, *names: str) -> int:
    """Return a number in [0, 2**64) that depends on nothing but the seed and the names."""
    text = "\0".join([str(seed), *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def place_bundles(
    ties_of: Mapping[str, Sequence[str]],
    *,
    placed: Sequence[Bundle] = (),
    n_folds: int = N_FOLDS,
    seed: int = 0,
) -> tuple[Bundle, ...]:
    """Return the hard split of all items: the bundles already placed, then the new ones.

    Items that share a tie end in one bundle. Bundles already placed stay where they are, also when
    their items are gone; new ones join the smallest fold, and in it the smaller half, one after the
    other in the order of the hash of their name.

    Parameters
    ----------
    ties_of
        For each item its ties as ``key=value``, the group first.
    placed
        The split of the dataset's previous version.
    n_folds, seed
        The number of folds, and what orders new bundles.

    Raises
    ------
    DataLeakError
        If an item ties bundles that an earlier version put into different places.
    """
    # An old bundle counts as an item of its own, so that what tied it stays tied.
    items = [*ties_of.values(), *((one.name, *sorted(one.ties)) for one in placed)]
    old_of = {tie: bundle for bundle in placed for tie in bundle.ties}
    settled: list[Bundle] = []
    new: list[tuple[str, frozenset[str]]] = []
    for name, ties in _connected(items):
        old = sorted({old_of[tie] for tie in ties & old_of.keys()}, key=lambda one: one.name)
        if old:
            settled.append(_joined(old, ties, ties_of))
        else:
            new.append((name, ties))
    return (*settled, *_joining(new, settled, n_folds, seed))


def _connected(items: Sequence[Sequence[str]]) -> list[tuple[str, frozenset[str]]]:
    """Return the connected sets of ties, each named by its first group in alphabetical order."""
    above: dict[str, str] = {}

    def root(tie: str) -> str:
        while above.setdefault(tie, tie) != tie:
            above[tie] = above[above[tie]]
            tie = above[tie]
        return tie

    for ties in items:
        for tie in ties:
            above[root(tie)] = root(ties[0])
    members: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    for ties in items:
        key = root(ties[0])
        members.setdefault(key, set()).update(ties)
        names[key] = min(names.get(key, ties[0]), ties[0])
    return sorted((names[key], frozenset(ties)) for key, ties in members.items())


def _joined(
    old: Sequence[Bundle], ties: frozenset[str], ties_of: Mapping[str, Sequence[str]]
) -> Bundle:
    first = old[0]
    for other in old[1:]:
        if other.place != first.place:
            raise DataLeakError(
                f"New data ties {first.name} (fold {first.place.fold}, half {first.place.half}) to "
                f"{other.name} (fold {other.place.fold}, half {other.place.half}): "
                f"{_link(first, other, ties_of)}. Folds in use are not moved: leave that data out, "
                f"or ingest everything under another --name to draw new folds."
            )
    return Bundle(first.name, ties, first.place)


def _link(one: Bundle, other: Bundle, ties_of: Mapping[str, Sequence[str]]) -> str:
    """Return which items say that two bundles belong together."""
    for name in sorted(ties_of):
        of_one = [tie for tie in ties_of[name] if tie in one.ties]
        of_other = [tie for tie in ties_of[name] if tie in other.ties]
        if of_one and of_other:
            return f"item {name} is of {of_one[0]} and of {of_other[0]}"
    joining = [
        next(name for name in sorted(ties_of) if bundle.ties & set(ties_of[name]))
        for bundle in (one, other)
        if any(bundle.ties & set(ties) for ties in ties_of.values())
    ]
    return f"items {' and '.join(joining)} share a slide, patient or group through others"


def _joining(
    new: Sequence[tuple[str, frozenset[str]]], settled: Sequence[Bundle], n_folds: int, seed: int
) -> list[Bundle]:
    folds = Counter(bundle.place.fold for bundle in settled)
    halves = Counter(bundle.place for bundle in settled)
    joined = []
    for name, ties in sorted(new, key=lambda one: (hash_of(seed, one[0]), one[0])):
        fold = min(range(n_folds), key=lambda one: (folds[one], one))
        place = min((Place(fold, half) for half in (0, 1)), key=lambda one: (halves[one], one))
        folds[fold] += 1
        halves[place] += 1
        joined.append(Bundle(name, ties, place))
    return joined


def parts(
    infos: Iterable[SplitRegion], mode: Mode, fold: int, n_folds: int = N_FOLDS
) -> dict[str, Part]:
    """Return what each region may be used for, by region id.

    Fold `fold` tests, half 0 of the next fold validates, everything else trains.

    Raises
    ------
    WrongUseError
        If there is no such fold.
    """
    if not 0 <= fold < n_folds:
        raise WrongUseError(f"Fold {fold} does not exist: the folds are 0 to {n_folds - 1}.")
    return {info.region_id: _part(_place(info, mode), fold, n_folds) for info in infos}


def _place(info: SplitRegion, mode: Mode) -> Place:
    if mode == "hard":
        return Place(info.hard_fold, info.hard_half)
    return Place(info.easy_fold, info.easy_half)


def _part(place: Place, fold: int, n_folds: int) -> Part:
    if place.fold == fold:
        return Part.TEST
    if place == Place((fold + 1) % n_folds, 0):
        return Part.VALIDATION
    return Part.TRAIN


def require(
    infos: Iterable[SplitRegion],
    region_ids: Iterable[str],
    *,
    allowed: Collection[Part],
    mode: Mode,
    fold: int,
    n_folds: int = N_FOLDS,
) -> None:
    """Prove that a stage was handed only regions that its split allows.

    Raises
    ------
    LeakError
        If a region is of another part, or unknown.
    """
    known = {info.region_id: info for info in infos}
    part_of = parts(known.values(), mode, fold, n_folds)
    wanted = " or ".join(sorted(allowed))
    for region_id in region_ids:
        if region_id not in known:
            raise LeakError(
                f"Region {region_id} is in no split of this dataset, so nothing may use it. "
                f"Extract the regions again with the dataset that it comes from."
            )
        if part_of[region_id] not in allowed:
            raise LeakError(
                f"Region {region_id} (group {known[region_id].group}) is in the "
                f"{part_of[region_id]} part of {mode} fold {fold}; this stage may see {wanted} "
                f"only. The code that chose the regions is wrong: results would be too good."
            )


def require_every_part(found: Mapping[str, Part], mode: Mode, fold: int) -> None:
    """Prove that no part of a fold is empty.

    Raises
    ------
    InputError
        If the dataset has too few groups or regions for the split.
    """
    missing = [verb for part, verb in _VERBS.items() if part not in found.values()]
    if missing:
        raise InputError(
            f"{mode.capitalize()} fold {fold} has no region to {' or to '.join(missing)}: "
            f"{len(found)} regions are too few, or of too few groups. Add slides, ingest with a "
            f"finer grouping than now, or use mode easy."
        )


_VERBS = {Part.TRAIN: "train on", Part.VALIDATION: "validate on", Part.TEST: "test on"}
