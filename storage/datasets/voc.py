"""Read datasets in Pascal VOC form: one XML file of boxes for each image.

Boxes are taken as they stand, without the pixel that some programs add or take away; see
`storage.datasets.voc_file`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from models.annotations import Role
from models.errors import AnnotationError, InputError, WrongUseError
from storage.datasets.listing import listing
from storage.datasets.measured import measured
from storage.datasets.naming import naming
from storage.datasets.pairs import ImageBy, Pairs, pairs
from storage.datasets.protocol import RefusedItem, SourceItem
from storage.datasets.region_image import Said, region_image, require_plausible, require_role
from storage.datasets.voc_file import cells_of, named_image, read_voc, stated_size
from storage.images import SUFFIXES, ImageDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

XML = ".xml"
IMAGE_SUFFIXES = SUFFIXES | {".tif", ".tiff"}

WithoutXml = Literal["refuse", "unlabelled", "negative"]
"""What an image without an XML file is."""


@dataclass(frozen=True, slots=True)
class VocOptions:
    """What a VOC dataset does not say of itself."""

    role: Role = Role.POSITIVE
    """Of images with an XML file."""
    class_names: tuple[str, ...] = ()
    """The classes to take, as one; all classes if none is named."""
    complete: bool = False
    """Whether every cell of those classes has a box."""
    without_xml: WithoutXml = "refuse"
    image_by: ImageBy = "both"
    mpp: float | None = None
    """Micrometres per pixel of all images."""


class VocReader:
    """Yields the images of a folder that holds VOC XML files, in any arrangement of subfolders.

    Parameters
    ----------
    folder : Path
        Annotations and JPEGImages lie in it, or XML files beside their images.
    options : VocOptions, optional
        What the files do not say.

    Raises
    ------
    WrongUseError
        If the pixel size is none of a microscope.
    """

    def __init__(self, folder: Path, options: VocOptions | None = None) -> None:
        self._folder = folder
        self._options = options or VocOptions()
        require_plausible(self._options.mpp)
        self.total = 0
        """How many images there are, and XML files without one; known once reading has begun."""

    def items(self) -> Iterator[SourceItem | RefusedItem]:
        """Yield each image, and each file or object that cannot be used.

        Raises
        ------
        InputError
            If there is no such folder, or no XML file in it.
        WrongUseError
            If no file has an object of a class that is asked for; known once all are read.
        """
        files = listing(self._folder, {*IMAGE_SUFFIXES, XML})
        found = self._paired(files.files)
        self.total = len(files.refused) + len(found.wrong) + len(found.image_of) + len(found.alone)
        name_of = naming([*found.image_of.values(), *found.alone])
        yield from files.refused
        yield from (RefusedItem(xml, reason) for xml, reason in sorted(found.wrong.items()))
        with ImageDecoder() as decoder:
            images = ImagesWithXml(self._folder, self._options, decoder)
            for xml, image in found.image_of.items():
                yield from images.annotated(image, name_of(image), xml)
            for image in found.alone:
                yield images.bare(image, name_of(image), self._options.without_xml)
        images.require_classes()

    def _paired(self, files: Sequence[str]) -> Pairs:
        xmls = [one for one in files if one.lower().endswith(XML)]
        if not xmls:
            raise InputError(
                f"{self._folder}: no XML file there or below. Give the folder that holds "
                f"Annotations and JPEGImages, or XML files beside their images."
            )
        images = [one for one in files if not one.lower().endswith(XML)]
        named = {one: named_image(self._folder / one) for one in xmls}
        return pairs(named, images, self._options.image_by)


class ImagesWithXml:
    """Reads single images of a folder, with and without an XML file."""

    def __init__(self, folder: Path, options: VocOptions, decoder: ImageDecoder) -> None:
        self._folder = folder
        self._options = options
        self._decoder = decoder
        self._classes: set[str] = set()

    def annotated(
        self, image: str, name: str, xml: str, attributes: Mapping[str, str] | None = None
    ) -> Iterator[SourceItem | RefusedItem]:
        """Yield the objects of an image's XML file that are refused, and then the image."""
        path, options = self._folder / image, self._options
        try:
            found = read_voc(self._folder / xml)
            self._classes.update(one.class_name for one in found.objects)
            file = measured(path, options.mpp, self._decoder)
            size = file.width, file.height
            _require_size(size, stated_size(found))
            cells = cells_of(found, options.class_names, name, size)
            require_role(options.role, len(cells.annotations) + len(cells.refused))
        except InputError as error:
            about = f"{xml}: " if isinstance(error, AnnotationError) else ""
            yield RefusedItem(image, f"{about}{error}")
            return
        yield from cells.refused
        # A refused object may have been a cell: what is left is then right, but not complete.
        complete = options.complete and not cells.refused
        said = Said(options.role, cells.annotations, complete, attributes or {}, cells.noticed)
        yield region_image(name, path, file, said)

    def bare(
        self,
        image: str,
        name: str,
        as_what: WithoutXml,
        attributes: Mapping[str, str] | None = None,
    ) -> SourceItem | RefusedItem:
        """Return an image without an XML file, or why it is refused."""
        if as_what == "refuse":
            return RefusedItem(
                image,
                "there is no XML file for it: nobody says what it shows. Add the file, or say what "
                "such images are with --without-xml.",
            )
        path = self._folder / image
        try:
            file = measured(path, self._options.mpp, self._decoder)
        except InputError as error:
            return RefusedItem(image, str(error))
        return region_image(name, path, file, Said(Role(as_what), attributes=attributes or {}))

    def require_classes(self) -> None:
        """Raise `WrongUseError` if objects were read, and none has a class that is asked for."""
        missing = [one for one in self._options.class_names if one not in self._classes]
        if missing and self._classes:
            listed = ", ".join(sorted(self._classes)[:_CLASSES_SHOWN])
            raise WrongUseError(
                f"{self._folder}: no object is called {missing[0]!r}; there are {listed}. Choose "
                f"with --class, or leave it out to take all."
            )


_CLASSES_SHOWN = 20


def _require_size(size: tuple[int, int], stated: tuple[float, float] | None) -> None:
    if stated is not None and stated != size:
        width, height = stated
        raise AnnotationError(
            f"the image has {size[0]} x {size[1]} px, the file says {width:g} x {height:g}: the "
            f"boxes may be of another scale. Export the annotations of this image again."
        )
