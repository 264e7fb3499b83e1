"""Read datasets in COCO form: boxes, and outlines where there are some.

Beyond COCO, an image may carry ``role``, ``complete``, ``slide``, ``patient`` (or ``case``),
``organ``, ``site`` and ``mpp``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from models.annotations import Annotations, Role
from models.errors import AnnotationError, ImageError, InputError
from models.geometry.tiles import Window, plausible_mpp
from storage.datasets.coco_document import (
    Document,
    ImageEntry,
    filtered,
    find_file,
    is_number,
    read_document,
)
from storage.datasets.coco_records import checked, sort_records, wanted_categories
from storage.datasets.protocol import KnownWindow, RefusedItem, SourceItem
from storage.images import ImageDecoder
from storage.slides import open_slide

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

ATTRIBUTES = {"slide": ("slide",), "patient": ("patient", "case"), "organ": ("organ",),
              "site": ("site",)}  # fmt: skip
"""What may group images, and the keys that say it."""


class _Known(NamedTuple):
    """What the file says of an image, checked."""

    role: Role
    complete: bool
    mpp: float | None


class CocoReader:
    """Yields the images of a COCO file with their annotations.

    Parameters
    ----------
    path : Path
        The JSON file, or a folder that holds annotations_coco.json, annotations.json or one
        instances*.json. Images lie in the folder of the JSON file or in its folder ``images``.
    role : Role
        Of images that do not say it themselves.
    class_name : str, optional
        The category to take; all categories if none is named.
    where : mapping, optional
        Only images whose own keys have these values are read.
    mpp : float, optional
        Micrometres per pixel of images that do not say it themselves.
    """

    def __init__(
        self,
        path: Path,
        role: Role = Role.POSITIVE,
        class_name: str | None = None,
        where: Mapping[str, str] | None = None,
        mpp: float | None = None,
    ) -> None:
        self._path = path
        self._role = role
        self._class_name = class_name
        self._where = dict(where or {})
        self._mpp = mpp
        self.total = 0
        """How many images there are; known once reading has begun."""

    def items(self) -> Iterator[SourceItem | RefusedItem]:
        """Yield each image, and each file or record that cannot be used.

        Raises
        ------
        InputError
            If the file cannot be read at all, or holds nothing of what is asked for.
        """
        document = read_document(find_file(self._path))
        wanted = wanted_categories(document, self._class_name)
        images = filtered(document, self._where)
        self.total = len(images) + len(document.refused)
        records = sort_records(document, wanted, images)
        yield from document.refused
        yield from records.refused
        with ImageDecoder() as decoder:
            for image in images:
                yield from self._image(document, image, records.by_image, decoder)

    def _image(
        self,
        document: Document,
        image: ImageEntry,
        by_image: Mapping[Any, list[Mapping[str, Any]]],
        decoder: ImageDecoder,
    ) -> Iterator[SourceItem | RefusedItem]:
        try:
            known = self._known(image)
            path = find_image(document.path.parent, image.file_name)
            size, mpp = _measured(path, known.mpp, decoder)
            _require_size(image, size)
            cells, refused = checked(by_image.get(image.key, []), image.file_name, size)
            _require_role(known.role, len(cells) + len(refused))
        except InputError as error:
            yield RefusedItem(image.file_name, str(error))
            return
        yield from refused
        yield _item(image, path, size, (known._replace(mpp=mpp), cells, not refused))

    def _known(self, image: ImageEntry) -> _Known:
        role, complete = (image.values.get(key) for key in ("role", "complete"))
        role = self._role if role is None else role
        complete = False if complete is None else complete
        if not isinstance(role, str) or role not in set(Role):
            raise AnnotationError(f"its role is {role!r}, expected one of {', '.join(Role)}.")
        if not isinstance(complete, bool):
            raise AnnotationError(f"its key complete is {complete!r}, expected true or false.")
        mpp = image.values.get("mpp")
        mpp = self._mpp if mpp is None else mpp
        if mpp is not None and not (is_number(mpp) and plausible_mpp(mpp)):
            raise AnnotationError(
                f"its mpp is {mpp!r}, which no microscope gives. Correct it, or delete the key and "
                f"give --mpp."
            )
        return _Known(Role(role), complete, None if mpp is None else float(mpp))


def find_image(folder: Path, file_name: str) -> Path:
    """Return an image file that lies in the dataset's folder, or in its folder ``images``.

    Raises
    ------
    AnnotationError
        If it is missing, or lies elsewhere: a dataset must not make us read other files.
    """
    inside = folder.resolve()
    for base in (inside, inside / "images"):
        try:
            path = (base / file_name).resolve()
            if not path.is_relative_to(inside):
                raise AnnotationError(
                    f"its file_name {file_name!r} leads out of the folder {folder} and is not "
                    f"followed. Put the image into that folder and name it relative to it."
                )
            if path.is_file():
                return path
        except (OSError, RuntimeError) as error:  # too long a name; links that go in circles
            raise AnnotationError(f"its file_name {file_name:.80} is no path ({error}).") from error
    raise AnnotationError(
        f"there is no file {file_name} in {folder} or {folder / 'images'}. Copy it there, or "
        f"correct file_name."
    )


def _measured(
    path: Path, mpp: float | None, decoder: ImageDecoder
) -> tuple[tuple[int, int], float | None]:
    """Return width, height and pixel size of an image after decoding all of it, or of a slide."""
    try:
        with open_slide(path, mpp, decoder=decoder) as slide:
            return (slide.width, slide.height), slide.mpp
    except ImageError as error:
        # The refusal names the file already.
        raise ImageError(str(error).removeprefix(f"{path}: ")) from error


def _require_size(image: ImageEntry, size: tuple[int, int]) -> None:
    stated = image.values.get("width"), image.values.get("height")
    if stated not in ((None, None), size):  # what the file states may be a list
        raise AnnotationError(
            f"the file has {size[0]} x {size[1]} px, its entry says {stated[0]} x {stated[1]}: the "
            f"boxes may be of another scale. Export the annotations of this file again."
        )


def _require_role(role: Role, n_cells: int) -> None:
    if n_cells and role is not Role.POSITIVE:
        raise AnnotationError(
            f"it is called {role} but has {n_cells} annotations of the class. Call it positive, or "
            f"delete the annotations."
        )


def _item(
    image: ImageEntry,
    path: Path,
    size: tuple[int, int],
    found: tuple[_Known, Annotations, bool],
) -> SourceItem:
    known, cells, nothing_refused = found
    # A refused record may have been a cell: what is left is then right, but not complete.
    complete = (known.complete and nothing_refused) or known.role is Role.NEGATIVE
    values = {name: image.text(*keys) for name, keys in ATTRIBUTES.items()}
    attributes = {name: value for name, value in values.items() if value is not None}
    return SourceItem(
        name=image.name,
        path=path,
        width=size[0],
        height=size[1],
        mpp=known.mpp,
        windows=(KnownWindow(Window(0, 0, *size), known.role),),
        rest=None,
        annotations=cells,
        truth=cells if complete else None,
        attributes={"slide": image.name, **attributes},
    )
