"""Slides, and the file of annotations that lies beside each of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from models.errors import InputError
from storage.datasets.listing import listing
from storage.datasets.naming import naming
from storage.datasets.protocol import RefusedItem
from storage.geojson import geojson_name
from storage.images import SLIDE_SUFFIXES, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Pair:
    """A slide and its annotations."""

    name: str
    """Of the slide in the dataset."""
    slide_name: str
    """Relative to the folder."""
    slide: Path
    annotations: Path


def paired(
    path: Path, suffixes: Sequence[str], elsewhere: Path | None = None
) -> tuple[list[Pair], list[RefusedItem]]:
    """Return the slides with their annotations, and files that stand alone.

    The annotations of ``a.svs`` are called ``a`` or ``a.svs`` and one of the suffixes, and lie in
    the same folder.

    Parameters
    ----------
    path
        A folder; or one slide, or one file of annotations.
    suffixes
        How the names of annotation files end.
    elsewhere
        A folder where the annotations lie, in whatever subfolder, if not beside the slides.

    Raises
    ------
    InputError
        If there is no such file or folder, or no slide, or no annotations.
    """
    folder = path.parent if path.is_file() else path
    known = SLIDE_SUFFIXES | SUFFIXES
    found = listing(folder, known)
    files = listing(elsewhere or folder, {f".{one.rpartition('.')[2]}" for one in suffixes})
    marked = [one for one in files.files if one.lower().endswith(tuple(suffixes))]
    finder = _Finder(found.files, suffixes, beside=elsewhere is None)
    owners = {one: finder.owners(one) for one in marked}
    slides = list(found.files)
    if path.is_file():
        slides, owners = _only(path.name, slides, owners)
    _require_some(path, elsewhere, suffixes, (slides, owners))
    beside = _turned(owners)
    name_of = naming(slides)
    pairs, refused = [], [*found.refused, *files.refused]
    for one in slides:
        mine = beside[one]
        if len(mine) == 1 and len(owners[mine[0]]) == 1:
            place = (elsewhere or folder) / mine[0]
            pairs.append(Pair(name_of(one), one, folder / one, place))
        else:
            refused.append(RefusedItem(one, _not_one(one, mine, suffixes)))
    refused += [
        RefusedItem(one, "there is no slide of that name for it.")
        for one, of in owners.items()
        if not of
    ]
    return pairs, refused


class _Finder:
    """Finds the slides that a file of annotations may belong to."""

    def __init__(self, slides: Iterable[str], suffixes: Sequence[str], *, beside: bool) -> None:
        self._beside = beside
        self._slides: dict[tuple[str, str], list[str]] = defaultdict(list)
        for slide in slides:
            for name in _expected(slide, suffixes):
                self._slides[self._key(slide, name)].append(slide)

    def owners(self, file: str) -> list[str]:
        return self._slides.get(self._key(file, PurePosixPath(file).name), [])

    def _key(self, place: str, name: str) -> tuple[str, str]:
        return str(PurePosixPath(place).parent) if self._beside else "", name.lower()


def _expected(slide: str, suffixes: Sequence[str]) -> set[str]:
    """Return how the annotations of a slide may be called, its letters quoted or not."""
    path = PurePosixPath(slide)
    quoted = (geojson_name(one).removesuffix(".geojson") for one in (path.stem, path.name))
    return {f"{one}{end}" for one in (path.stem, path.name, *quoted) for end in suffixes}


def _only(
    name: str, slides: list[str], owners: Mapping[str, list[str]]
) -> tuple[list[str], dict[str, list[str]]]:
    """Return the one slide and the one file of annotations of which a name is one."""
    wanted = {name} if name in slides else set(owners.get(name, ()))
    kept = {file: of for file, of in owners.items() if wanted.intersection(of) or file == name}
    return [one for one in slides if one in wanted], kept


def _require_some(
    path: Path,
    elsewhere: Path | None,
    suffixes: Sequence[str],
    found: tuple[Sequence[str], Mapping[str, object]],
) -> None:
    slides, files = found
    listed = ", ".join(suffixes)
    if not slides:
        raise InputError(
            f"{path}: no slides or images there. Files that end in "
            f"{', '.join(sorted(SLIDE_SUFFIXES | SUFFIXES))} are read, with annotations that end "
            f"in {listed} beside them."
        )
    if not files:
        raise InputError(
            f"{elsewhere or path}: no annotations there, files that end in {listed}. Slides "
            f"without any are read by signetflow ingest slides."
        )


def _turned(owners: Mapping[str, Sequence[str]]) -> Mapping[str, list[str]]:
    turned: dict[str, list[str]] = defaultdict(list)
    for file, slides in owners.items():
        for slide in slides:
            turned[slide].append(file)
    return turned


def _not_one(slide: str, files: Sequence[str], suffixes: Sequence[str]) -> str:
    if len(files) > 1:
        return f"{' and '.join(files)} could both be its annotations. Delete or rename one."
    if files:
        return f"{files[0]} belongs to another file of that name as well. Name it after all of one."
    stem = PurePosixPath(slide).stem
    return (
        f"there is no {stem}{suffixes[0]} for it: nobody says what it shows. Add the file, or read "
        f"such slides with signetflow ingest slides --add."
    )
