"""Read slides and images that nobody annotated: normal tissue, or tissue to learn from later."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from models.annotations import Annotations, Role
from models.errors import ImageError, InputError, WrongUseError
from models.geometry.tiles import Window
from storage.datasets.listing import Listing, listing
from storage.datasets.naming import naming
from storage.datasets.protocol import KnownWindow, RefusedItem, SourceItem
from storage.images import SLIDE_SUFFIXES, SUFFIXES
from storage.measuring import Measurer
from storage.slides import require_plausible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage.images import Measured

UNREAD_SUFFIXES = frozenset(
    {".gif", ".webp", ".jp2", ".j2k", ".heic", ".avif", ".psd", ".dcm", ".mrxs", ".czi", ".vsi"}
    | {".vms", ".vmu", ".lif", ".nd2", ".isyntax", ".jxl", ".tga", ".ppm", ".pgm"}
)
"""Images and slides that are refused by name, lest they seem to be taken."""
WHOLE_PX = 4096 * 4096
"""Of larger images only the tissue is taken, as of slides."""


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

        A slide must have stained tissue. An image of at most `WHOLE_PX` is taken as it is: someone
        chose what it shows.

        Raises
        ------
        InputError
            If there is no such folder or file, or no slide in it.
        WrongUseError
            If the given mpp is none of a microscope.
        """
        require_plausible(self._mpp)  # wrong for all of them, not a fault of one file
        found = self._found()
        self.total = len(found.files) + len(found.refused)
        name_of = naming(found.files)
        yield from found.refused
        with Measurer() as measurer:
            for file, measured in measurer.ahead(found.files, partial(self._measure, measurer)):
                path = found.folder / file
                try:
                    yield self._item(name_of(file), path, measured.result())
                except InputError as error:
                    yield RefusedItem(file, str(error).removeprefix(f"{path}: "))

    def _measure(self, measurer: Measurer, file: str) -> Measured:
        path = self._folder() / file
        suffix = path.suffix.lower()
        if suffix in UNREAD_SUFFIXES:
            raise ImageError(
                f"files that end in {suffix} are not read. Convert it to a tiled TIFF pyramid, a "
                f"PNG or a JPEG."
            )
        return measurer.measure(path, self._mpp, tissue=True)

    def _folder(self) -> Path:
        return self._path.parent if self._path.is_file() else self._path

    def _found(self) -> Listing:
        if self._path.is_file():
            return Listing(self._path.parent, (self._path.name,), ())
        if not self._path.is_dir():
            raise InputError(f"{self._path}: no such file or folder.")
        known = SLIDE_SUFFIXES | SUFFIXES
        found = listing(self._path, known | UNREAD_SUFFIXES)
        if not found.files and not found.refused:
            raise InputError(
                f"{self._path}: no slides or images there. Files that end in "
                f"{', '.join(sorted(known))} are read."
            )
        return found

    def _item(self, name: str, path: Path, found: Measured) -> SourceItem:
        whole = not found.is_slide and found.width * found.height <= WHOLE_PX
        window = Window(0, 0, found.width, found.height)
        return SourceItem(
            name=name,
            path=path,
            width=found.width,
            height=found.height,
            mpp=found.mpp,
            windows=(KnownWindow(window, self._role),) if whole else (),
            rest=None if whole else self._role,
            annotations=Annotations.none(),
            truth=Annotations.none() if self._role is Role.NEGATIVE else None,
            attributes={"slide": name},
        )
