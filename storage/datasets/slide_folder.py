"""Read slides and images that nobody annotated: normal tissue, or tissue to learn from later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.annotations import Annotations, Role
from models.errors import InputError, WrongUseError
from models.geometry.tiles import Window
from storage.datasets.listing import Listing, listing
from storage.datasets.naming import naming
from storage.datasets.protocol import RefusedItem, SourceItem
from storage.images import SUFFIXES, ImageDecoder
from storage.slides import open_slide

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage.slides import Slide

SLIDE_SUFFIXES = frozenset({".svs", ".ndpi", ".scn", ".bif", ".tif", ".tiff"})
PROBE_PX = 64


class SlideFolderReader:
    """Yields the slides and images of a folder and its subfolders, or one file.

    Parameters
    ----------
    path : Path
        The folder or file. Files of other kinds and hidden ones are left alone.
    role : Role
        Of all tissue: negative or unlabelled.
    mpp : float, optional
        Micrometres per pixel, in place of what the files say.

    Raises
    ------
    WrongUseError
        If the role is positive: that needs annotations.
    """

    def __init__(self, path: Path, role: Role, mpp: float | None = None) -> None:
        if role is Role.POSITIVE:
            raise WrongUseError(
                "--role positive needs annotated cells, and slides alone have none. Use negative "
                "for tissue free of the target, unlabelled for tissue nobody looked at, or ingest "
                "annotations with signetflow ingest coco."
            )
        self._path = path
        self._role = role
        self._mpp = mpp
        self.total = 0
        """How many files there are; known once reading has begun."""

    def items(self) -> Iterator[SourceItem | RefusedItem]:
        """Yield each slide, or why it was refused.

        Raises
        ------
        InputError
            If there is no such folder or file, or no slide in it.
        """
        found = self._found()
        folder, self.total = found.folder, len(found.files) + len(found.refused)
        name_of = naming(found.files)
        yield from found.refused
        with ImageDecoder() as decoder:
            for file in found.files:
                try:
                    with open_slide(folder / file, self._mpp, decoder=decoder) as slide:
                        yield self._item(name_of(file), folder / file, slide)
                except InputError as error:
                    # A wrong --mpp is wrong for all of them, not a fault of this file.
                    if isinstance(error, WrongUseError):
                        raise
                    yield RefusedItem(file, str(error).removeprefix(f"{folder / file}: "))

    def _found(self) -> Listing:
        if self._path.is_file():
            return Listing(self._path.parent, (self._path.name,), ())
        if not self._path.is_dir():
            raise InputError(f"{self._path}: no such file or folder.")
        known = SLIDE_SUFFIXES | SUFFIXES
        found = listing(self._path, known)
        if not found.files and not found.refused:
            raise InputError(
                f"{self._path}: no slides or images there. Files that end in "
                f"{', '.join(sorted(known))} are read."
            )
        return found

    def _item(self, name: str, path: Path, slide: Slide) -> SourceItem:
        _read_a_little(slide)
        return SourceItem(
            name=name,
            path=path,
            width=slide.width,
            height=slide.height,
            mpp=slide.mpp,
            windows=(),
            rest=self._role,
            annotations=Annotations.none(),
            truth=Annotations.none() if self._role is Role.NEGATIVE else None,
            attributes={"slide": name},
        )


def _read_a_little(slide: Slide) -> None:
    """Read a few pixels of the middle: damaged slides open, and fail at the first read."""
    x0, y0 = max(0, slide.width - PROBE_PX) // 2, max(0, slide.height - PROBE_PX) // 2
    slide.read(Window(x0, y0, min(slide.width, x0 + PROBE_PX), min(slide.height, y0 + PROBE_PX)), 1)
