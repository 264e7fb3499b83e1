"""Read datasets in COCO form: boxes, and outlines where there are some.

Beyond COCO, an image may carry ``role``, ``complete``, ``slide``, ``patient`` (or ``case``),
``organ``, ``site`` and ``mpp``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from models.annotations import Role
from models.errors import AnnotationError, InputError
from models.geometry.tiles import plausible_mpp
from storage.datasets.coco_document import ImageEntry, filtered, find_file, read_document
from storage.datasets.coco_images import ImageFiles
from storage.datasets.coco_records import checked, sort_records, wanted_categories
from storage.datasets.json_lists import is_number
from storage.datasets.measured import measured
from storage.datasets.protocol import RefusedItem, SourceItem
from storage.datasets.region_image import Said, region_image, require_role
from storage.images import ImageDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from storage.datasets.coco_shapes import Record

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
        instances*.json.
    role : Role
        Of images that do not say it themselves.
    class_name : str, optional
        The category to take; all categories if none is named.
    where : mapping, optional
        Only images whose own keys have these values are read.
    mpp : float, optional
        Micrometres per pixel of images that do not say it themselves.
    images : Path, optional
        The folder of the images; else they lie in the folder of the JSON file or in its folder
        ``images``. Here an image may also be called by its name in a dataset, as exported labels
        call it.
    """

    def __init__(
        self,
        path: Path,
        role: Role = Role.POSITIVE,
        class_name: str | None = None,
        where: Mapping[str, str] | None = None,
        mpp: float | None = None,
        *,
        images: Path | None = None,
    ) -> None:
        self._path = path
        self._role = role
        self._class_name = class_name
        self._where = dict(where or {})
        self._mpp = mpp
        self._images = images
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
        files = ImageFiles(document.path.parent, self._images)
        with ImageDecoder() as decoder:
            for image in images:
                found = records.by_image.get(image.key, [])
                yield from self._image(image, found, files, decoder)

    def _image(
        self,
        image: ImageEntry,
        records: Sequence[Record],
        files: ImageFiles,
        decoder: ImageDecoder,
    ) -> Iterator[SourceItem | RefusedItem]:
        try:
            known = self._known(image)
            name, path = files.find(image)
            file = measured(path, known.mpp, decoder)
            size = file.width, file.height
            _require_size(image, size)
            cells = checked(records, image.file_name, size)
            require_role(known.role, len(cells.annotations) + len(cells.refused))
        except InputError as error:
            yield RefusedItem(image.file_name, str(error))
            return
        yield from cells.refused
        # A refused record may have been a cell: what is left is then right, but not complete.
        complete = known.complete and not cells.refused
        values = {name: image.text(*keys) for name, keys in ATTRIBUTES.items()}
        attributes = {name: value for name, value in values.items() if value is not None}
        said = Said(known.role, cells.annotations, complete, attributes, cells.noticed)
        yield region_image(name, path, file, said)

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


def _require_size(image: ImageEntry, size: tuple[int, int]) -> None:
    stated = image.values.get("width"), image.values.get("height")
    if stated in ((None, None), size):  # what the file states may be a list
        return
    if _REGIONS in image.values and _reaches_into(stated, size):
        return
    raise AnnotationError(
        f"the file has {size[0]} x {size[1]} px, its entry says {stated[0]} x {stated[1]}: the "
        f"boxes may be of another scale. Export the annotations of this file again."
    )


_REGIONS = "regions"
"""What exported labels say of an image: its size is that of its regions, up to the last."""


def _reaches_into(stated: tuple[Any, Any], size: tuple[int, int]) -> bool:
    return all(is_number(one) and 0 < one <= most for one, most in zip(stated, size, strict=True))
