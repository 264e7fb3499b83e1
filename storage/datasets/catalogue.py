"""The catalogue of datasets: register what a reader found, find it again.

A version of a dataset is an artefact. Its digest covers the content of the files, the annotations,
the roles and the folds, but not where the files lie: the images are not copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.annotations import Role
from models.errors import EmptyDatasetError, ImageError, NotFoundError, WrongUseError
from storage.datasets.copies import with_copies_tied
from storage.datasets.easy import Looked, place_looked_at
from storage.datasets.fingerprints import Fingerprints
from storage.datasets.grouping import Split, grouping_for, named_like_tiles
from storage.datasets.hide import hidden
from storage.datasets.likeness import require_apart, same_pixels, told_apart
from storage.datasets.protocol import RefusedItem, SourceItem
from storage.datasets.refusals import note_refusals
from storage.datasets.registered import (
    Catalogue,
    CatalogueItem,
    latest,
    names,
    open_catalogue,
    region_id,
)
from storage.datasets.version import row_of, write_version

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from storage.datasets.likeness import Pair
    from storage.layout import Ref, Workspace

__all__ = ["Catalogue", "CatalogueItem", "IngestSummary", "latest", "names", "open_catalogue",
           "register"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What became of a dataset."""

    name: str
    ref: Ref | None
    """None when `strict` refused the whole dataset."""
    accepted: int
    """Slides and images."""
    refused: tuple[RefusedItem, ...]
    """Files and records."""
    n_annotations: int
    """Cells that training may see."""
    n_truth: int
    """Cells of the items of which all cells are known."""
    n_complete: int
    """Items of which all cells are known."""
    roles: Mapping[str, int]
    """Slides and images by role; a slide whose tissue has another role than its windows counts for
    each."""
    group_by: tuple[str, ...]
    folds: tuple[int, ...]
    """Groups in each hard fold."""
    alike: tuple[Pair, ...]
    """Items of one group that show the same pixels; easy folds keep them together."""
    like_tiles: Mapping[str, tuple[str, ...]]
    """Items of different groups that may be tiles of one slide, by the beginning of their names."""


def register(  # noqa: PLR0913  # keyword-only, one per option of the command
    at: Workspace,
    items: Iterable[SourceItem | RefusedItem],
    *,
    name: str,
    group_by: tuple[str, ...] | None = None,
    hide: float = 0.0,
    seed: int = 0,
    parent: Ref | None = None,
    add: bool = False,
    strict: bool = False,
    allow_alike: tuple[str, ...] = (),
    on_refused: Callable[[RefusedItem], None] | None = None,
) -> IngestSummary:
    """Register items as the newest version of a dataset.

    Parameters
    ----------
    at
        The workspace.
    items
        What a reader yields.
    name
        Of the dataset: letters, digits, ``.``, ``_`` and ``-``.
    group_by
        Attributes that name the group of an item: the first that the item has. By default as in
        the parent; without one, organ where there are enough organs for the folds, else slide.
    hide, seed
        The fraction of annotations to drop, while all of them stay as truth; what draws them and
        the folds.
    parent
        The version whose folds stay; by default the newest of the same name.
    add
        Whether the items of the parent stay, except those that a new item of the same name
        replaces.
    strict
        Whether one refused item refuses the whole dataset.
    allow_alike
        Pairs of items as ``A=B`` that look alike and are different; ``all``: every pair found.
        Later versions remember them.
    on_refused
        Called with each that is refused, also where an error ends it all.

    Raises
    ------
    EmptyDatasetError
        If nothing was accepted; nothing is written then.
    WorkspaceError
        If the workspace cannot be written.
    DataLeakError
        If new items tie groups that lie in different folds already, or two groups show the same
        pixels.
    WrongUseError
        If the name, the fraction or a pair is not one.
    IntegrityError
        If `add` keeps an image that is gone or was changed.
    """
    _require_name(name)
    if at.root.exists():
        at.require_writable()  # before the long reading; a new one waits for something to hold
    before = _parent(at, name, parent)
    with Fingerprints(before) as prints:
        accepted, refused = _sorted_out(items, prints, on_refused or _keep_silent)
        if not accepted:
            raise EmptyDatasetError(_nothing(name, refused))
        accepted = [_with_hidden(one, hide, seed) for one in accepted]
        if add and before:
            accepted = _added(before, accepted)
        accepted = sorted(accepted, key=lambda item: item.name)
        pairs, apart = _alike(accepted, prints, allow_alike, before)
        accepted = with_copies_tied(
            accepted, pairs, {one.name for one in before.items} if before else ()
        )
        split = Split.of(accepted, group_by or grouping_for(accepted, before), before, seed)
        rows = [row_of(one, prints.of(one), split) for one in accepted]
    require_apart(pairs, {row.name: split.bundle_of[f"slide={row.slide}"].name for row in rows})
    ref = None
    if not (strict and refused):
        at.require_writable()
        easy = _easy(rows, pairs, before, seed)
        header = split.to_json() | {"hide": float(hide), "seed": seed, "easy": easy}
        header |= {"told_apart": sorted(apart)} if apart else {}
        ref = write_version(at, name, header, rows, accepted)
        kept = before.ref if before and add else None
        note_refusals(at, ref, refused, parent=kept, taken={row.name for row in rows})
    return IngestSummary(
        name=name,
        ref=ref,
        accepted=len(accepted),
        refused=tuple(refused),
        n_annotations=sum(len(one.annotations) for one in accepted),
        n_truth=sum(len(one.truth) for one in accepted if one.truth is not None),
        n_complete=sum(one.truth is not None for one in accepted),
        roles=_roles(accepted),
        group_by=split.group_by,
        folds=split.sizes(accepted),
        alike=tuple(pairs),
        like_tiles=named_like_tiles(accepted, split),
    )


def _require_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", name):
        raise WrongUseError(
            f"--name {name!r} cannot name a dataset. Use up to 100 letters, digits, '.', '_' and "
            f"'-', not starting with '.' or '-'."
        )


def _parent(at: Workspace, name: str, parent: Ref | None) -> Catalogue | None:
    try:
        return open_catalogue(at, parent or latest(at, name))
    except NotFoundError:
        return None


def _keep_silent(refused: RefusedItem) -> None:
    """Tell nobody."""
    del refused


def _sorted_out(
    items: Iterable[SourceItem | RefusedItem],
    prints: Fingerprints,
    on_refused: Callable[[RefusedItem], None],
) -> tuple[list[SourceItem], list[RefusedItem]]:
    """Return the items that can be registered, and the others; each file is read on the way."""
    accepted: dict[str, SourceItem] = {}
    refused: list[RefusedItem] = []
    for item, taken in prints.ahead(items):
        if isinstance(item, RefusedItem):
            refused.append(item)
        elif reason := _why_not(item, taken, accepted):
            refused.append(RefusedItem(item.name, reason))
        else:
            accepted[item.name] = item
            continue
        on_refused(refused[-1])
    return list(accepted.values()), refused


def _why_not(item: SourceItem, taken: Future[None], accepted: Collection[str]) -> str:
    """Return why an item cannot be registered, or nothing."""
    if item.name in accepted:
        return f"{item.path}: another item of this dataset has the same name; rename one"
    try:
        taken.result()
    except ImageError as error:
        return str(error).removeprefix(f"{item.path}: ")
    except OSError as error:
        return f"{item.path}: cannot be read ({error.strerror})"
    return ""


def _added(before: Catalogue, new: Sequence[SourceItem]) -> list[SourceItem]:
    taken = {item.name for item in new}
    return [*new, *(before.source(one.name) for one in before.items if one.name not in taken)]


def _nothing(name: str, refused: Sequence[RefusedItem]) -> str:
    if not refused:
        return f"Dataset {name}: nothing was found to ingest. Check the path and the filters."
    first = "; ".join(f"{one.name}: {one.reason}" for one in refused[:_REASONS_SHOWN])
    first = first.replace("\n", "\\n")  # names may hold them, and the message is one line
    more = len(refused) - _REASONS_SHOWN
    return f"Dataset {name}: all was refused. {first}" + (f"; and {more} more." if more > 0 else "")


_REASONS_SHOWN = 3


def _with_hidden(item: SourceItem, hide: float, seed: int) -> SourceItem:
    """Return an item without the annotations to hide; all of them are its truth then."""
    annotated = tuple(known.window for known in item.windows if known.role is Role.POSITIVE)
    left = hidden(item.annotations, hide, seed)
    if not (hide and annotated and item.truth is None):
        return replace(item, annotations=left)
    where = None if item.truth_windows is None else annotated
    return replace(item, annotations=left, truth=item.annotations, truth_windows=where)


def _alike(
    items: Sequence[SourceItem],
    prints: Fingerprints,
    allowed: tuple[str, ...],
    before: Catalogue | None,
) -> tuple[list[Pair], set[tuple[str, str]]]:
    """Return the pairs that show the same pixels, and the pairs of which a person denies it."""
    taken = {item.name: prints.of(item) for item in items}
    pairs = same_pixels(
        {name: one.look for name, one in taken.items()},
        {name: one.digest for name, one in taken.items()},
    )
    apart = told_apart(allowed, pairs, taken) | set(before.told_apart if before else ())
    return [pair for pair in pairs if pair.names not in apart], apart


def _easy(
    rows: Sequence[CatalogueItem], alike: Sequence[Pair], before: Catalogue | None, seed: int
) -> dict[str, tuple[int, int]]:
    """Return the fold and half of every region that a person looked at, for easy folds."""
    regions_of = {
        row.name: [region_id(row.name, known.window) for known in row.windows] for row in rows
    }
    twins = {
        copy: original
        for pair in alike
        for copy, original in zip(regions_of[pair.second], regions_of[pair.first], strict=False)
    }
    looked = {
        region: Looked(row.slide, known.role)
        for row in rows
        for region, known in zip(regions_of[row.name], row.windows, strict=True)
    }
    placed = before.easy if before else {}
    places = place_looked_at(looked, placed=placed, twin_of=twins, seed=seed)
    return {region: (place.fold, place.half) for region, place in sorted(places.items())}


def _roles(items: Sequence[SourceItem]) -> dict[str, int]:
    roles = [{*(known.role for known in item.windows), item.rest} - {None} for item in items]
    return {role.value: sum(role in one for one in roles) for role in Role}
