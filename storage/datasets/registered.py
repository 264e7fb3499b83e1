"""Read a registered dataset: what its files are, what is known of them, how they are split."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.annotations import Annotations, Role
from models.errors import IntegrityError, NotFoundError
from models.geometry.tiles import Window
from storage.artefacts import hash_file, opened
from storage.datasets.cells import CellTables
from storage.datasets.easy import place_of_tissue
from storage.datasets.protocol import KnownWindow, SourceItem
from storage.datasets.splits import Bundle, Place
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

CATALOGUE = "dataset.json"


@dataclass(frozen=True, slots=True)
class CatalogueItem:
    """One slide or region image of a registered dataset."""

    name: str
    path: Path
    """Where the file was last registered from; `Catalogue.file` checks that it is still that."""
    width: int
    """Of level 0, in pixels."""
    height: int
    mpp: float | None
    windows: tuple[KnownWindow, ...]
    rest: Role | None
    attributes: Mapping[str, str]
    complete: bool
    """Whether all cells are known: then the item has truth, perhaps an empty one."""
    slide: str
    group: str
    """What hard folds keep together."""
    hard_fold: int
    hard_half: int
    digest: str
    """sha256 of the file."""
    size: int
    """Bytes of the file."""
    mtime_ns: int
    truth_windows: tuple[Window, ...] | None = None
    """The windows in which all cells are known; None: everywhere, if `complete`."""
    look: str | None = None
    """The perceptual hash of the whole image, for finding the same pixels under another name."""

    def complete_in(self, window: Window) -> bool:
        """Return whether all cells of a part of the item are known."""
        return self.complete and (self.truth_windows is None or window in self.truth_windows)

    def to_json(self) -> dict[str, Any]:
        """Return the item as JSON holds it."""
        value = {
            "name": self.name,
            "path": str(self.path),
            "mtime_ns": self.mtime_ns,
            "size": self.size,
            "digest": self.digest,
            "width": self.width,
            "height": self.height,
            "mpp": self.mpp,
            "windows": [_window_to_json(known) for known in self.windows],
            "rest": self.rest,
            "attributes": dict(self.attributes),
            "complete": self.complete,
            "slide": self.slide,
            "group": self.group,
            "hard_fold": self.hard_fold,
            "hard_half": self.hard_half,
            "look": self.look,
        }
        if self.truth_windows is not None:  # most items do without, and keep the digest they had
            value["truth_windows"] = [_corners(one) for one in self.truth_windows]
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> CatalogueItem:
        """Return the item that `to_json` wrote."""
        windows = tuple(
            KnownWindow(Window(*known["window"]), Role(known["role"])) for known in value["windows"]
        )
        rest = None if value["rest"] is None else Role(value["rest"])
        known = value.get("truth_windows")
        truth_windows = None if known is None else tuple(Window(*corners) for corners in known)
        changed = {"path": Path(value["path"]), "windows": windows, "rest": rest,
                   "truth_windows": truth_windows}  # fmt: skip
        return cls(**{**value, **changed})


def _window_to_json(known: KnownWindow) -> dict[str, Any]:
    return {"window": _corners(known.window), "role": known.role}


def _corners(window: Window) -> list[int]:
    return [window.x0, window.y0, window.x1, window.y1]


@dataclass(frozen=True)
class Catalogue:
    """A registered dataset."""

    ref: Ref
    name: str
    """The name under which this content was first registered."""
    items: tuple[CatalogueItem, ...]
    bundles: tuple[Bundle, ...]
    """The hard split, also of groups that earlier versions had."""
    group_by: tuple[str, ...]
    n_folds: int
    seed: int
    hide: float
    """The fraction of annotations that was dropped on purpose, of the items registered last."""
    easy: Mapping[str, Place]
    """The easy split, by region id, of all that a person looked at; also of what is gone."""
    told_apart: frozenset[tuple[str, str]]
    """Pairs of items that look alike and that a person said are different."""
    folder: Path

    @cached_property
    def _by_name(self) -> dict[str, CatalogueItem]:
        return {item.name: item for item in self.items}

    @cached_property
    def _cells(self) -> CellTables:
        return CellTables(self.folder)

    def item(self, name: str) -> CatalogueItem:
        """Return one item.

        Raises
        ------
        NotFoundError
            If the dataset has no item of that name.
        """
        if name not in self._by_name:
            raise NotFoundError(
                f"Dataset {self.name} has no item {name!r} among {len(self.items)}."
            )
        return self._by_name[name]

    def annotations(self, name: str) -> Annotations:
        """Return what a person marked in an item, in level-0 pixels: right, but incomplete."""
        return self._cells.annotations(self.item(name).name)

    def truth(self, name: str) -> Annotations | None:
        """Return all cells of an item, None where they are not known; for evaluation only."""
        if not self.item(name).complete:
            return None
        return self._cells.truth(name)

    def source(self, name: str) -> SourceItem:
        """Return an item as a reader would hand it over; its file is checked."""
        item = self.item(name)
        return SourceItem(
            name=name,
            path=self.file(name),
            width=item.width,
            height=item.height,
            mpp=item.mpp,
            windows=item.windows,
            rest=item.rest,
            annotations=self.annotations(name),
            truth=self.truth(name),
            attributes=item.attributes,
            truth_windows=item.truth_windows,
        )

    def easy_place(self, region: str) -> Place:
        """Return where a region lies when regions are split."""
        return self.easy.get(region) or place_of_tissue(region, self.seed)

    def file(self, name: str) -> Path:
        """Return an item's file after checking that it is the one that was registered.

        Raises
        ------
        IntegrityError
            If the file is gone or holds something else now.
        """
        item = self.item(name)
        try:
            stat = item.path.stat()
        except OSError as error:
            raise IntegrityError(
                f"{item.path}: the image of item {name} of dataset {self.name} cannot be read "
                f"({error.strerror}). Put it back, or run signetflow ingest again with "
                f"--name {self.name} from where the dataset lies now: nothing is lost by that."
            ) from error
        same = stat.st_size == item.size
        if not same or (stat.st_mtime_ns != item.mtime_ns and hash_file(item.path) != item.digest):
            raise IntegrityError(
                f"{item.path}: the image of item {name} of dataset {self.name} was changed since "
                f"it was ingested (sha256 {item.digest[:12]}... expected). Put the old file back, "
                f"or run signetflow ingest again to make a new version of the dataset."
            )
        return item.path


def region_id(item: str, window: Window) -> str:
    """Return how the region of an item is called that is cut from a window."""
    return f"{item}@{window.x0},{window.y0}"


def open_catalogue(at: Workspace, ref: Ref) -> Catalogue:
    """Return a registered dataset.

    Raises
    ------
    IntegrityError
        If the artefact is missing or altered.
    """
    folder = opened(at, ref)
    value = json.loads((folder / CATALOGUE).read_text())
    root, moved = at.root.resolve(), _locations(at, ref)
    items = (_located(CatalogueItem.from_json(one), moved) for one in value["items"])
    return Catalogue(
        ref=ref,
        name=value["name"],
        # an absolute path stays what it is
        items=tuple(replace(item, path=root / item.path) for item in items),
        bundles=tuple(
            Bundle(one["name"], frozenset(one["ties"]), Place(one["fold"], one["half"]))
            for one in value["bundles"]
        ),
        group_by=tuple(value["group_by"]),
        n_folds=value["n_folds"],
        seed=value["seed"],
        hide=value["hide"],
        easy={region: Place(*place) for region, place in value.get("easy", {}).items()},
        told_apart=frozenset((one, other) for one, other in value.get("told_apart", [])),
        folder=folder,
    )


def _located(item: CatalogueItem, moved: Mapping[str, Any]) -> CatalogueItem:
    if item.name not in moved:
        return item
    return replace(item, path=Path(moved[item.name][0]), mtime_ns=moved[item.name][1])


def kept_path(at: Workspace, path: Path) -> str:
    """Return a file's path as it is kept: from the workspace's root where it lies inside.

    So a workspace that brings its slides along can be moved.
    """
    root = at.root.resolve()
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def locations_path(at: Workspace, ref: Ref) -> Path:
    """Return the file that says where a dataset's files lay when it was last registered."""
    return at.root / Kind.DATASET / "locations" / f"{ref.digest}.json"


def _locations(at: Workspace, ref: Ref) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(locations_path(at, ref).read_text())
    except FileNotFoundError:
        return {}
    return found


def refs_folder(at: Workspace) -> Path:
    """Return the folder with a file for each name of a dataset."""
    return at.root / Kind.DATASET / "refs"


def names(at: Workspace) -> tuple[str, ...]:
    """Return the names of all datasets, the one registered last first."""
    entries = [path for path in refs_folder(at).glob("*") if not path.name.startswith(".")]
    newest = sorted(entries, key=lambda path: (-path.stat().st_mtime_ns, path.name))
    return tuple(path.name for path in newest)


def latest(at: Workspace, name: str | None = None) -> Ref:
    """Return the newest version of a dataset, of the one registered last if no name is given.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    known = names(at)
    if not known:
        raise NotFoundError(
            f"{at.root}: no dataset in this workspace. Run signetflow ingest, or name the "
            f"workspace that has one with --workspace."
        )
    if name is not None and name not in known:
        raise NotFoundError(
            f"{at.root}: no dataset is called {name!r}; there are {', '.join(known)}."
        )
    return Ref(Kind.DATASET, (refs_folder(at) / (name or known[0])).read_text().strip())
