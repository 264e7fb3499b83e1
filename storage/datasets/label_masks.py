"""Read datasets in which pixels say which cell they belong to.

Either one label image for each image, in which each cell has a value of its own and 0 is
background, or one mask for each cell, as in the Data Science Bowl of 2018::

    images/a.png  labels/a.png          a/images/a.png  a/masks/1.png  a/masks/2.png

Boxes are tight and half-open, from the first pixel of a cell to one behind its last; outlines run
along the sides of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn

import numpy as np
from scipy.ndimage import find_objects

from models.annotations import Annotations, Polygons, Role
from models.errors import AnnotationError, ImageError, InputError
from storage.datasets.label_files import Labelled, label_files
from storage.datasets.listing import listing
from storage.datasets.measured import measured
from storage.datasets.naming import naming
from storage.datasets.pixel_outlines import HOLES, PIECES, pixel_outline
from storage.datasets.protocol import RefusedItem, RefusedRecord, SourceItem
from storage.datasets.region_image import Said, region_image, require_plausible
from storage.datasets.voc import IMAGE_SUFFIXES
from storage.images import ImageDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MAXIMUM_CELLS = 100_000
"""Of one image; a photograph in place of labels has more."""
SCATTERED = 4
"""Pieces for each value, from which on values are no cells."""
FEW_PIECES = 10
LARGEST_SHARE = 0.9
"""Of the only value's pixels, in one piece, if it is one cell."""
_DENSE = 1 << 16

WithoutLabels = Literal["refuse", "unlabelled"]
"""What an image without labels is."""


@dataclass(frozen=True, slots=True)
class MaskOptions:
    """What a dataset of labels does not say of itself."""

    complete: bool = True
    """Whether every cell has been drawn: they are the truth then."""
    without_labels: WithoutLabels = "refuse"
    labels_folder: str | None = None
    """The name of the folders that hold labels, where several could."""
    mpp: float | None = None
    """Micrometres per pixel of all images."""


class Cells(NamedTuple):
    """The cells of one image."""

    annotations: Annotations
    refused: tuple[RefusedRecord, ...]
    noticed: dict[str, int]


class LabelMaskReader:
    """Yields the images of a folder that have a label image each, or a mask for each cell.

    Parameters
    ----------
    folder : Path
        Holds images and labels, in folders of these names or with names that end in _labels or
        _masks.
    options : MaskOptions, optional
        What the files do not say.

    Raises
    ------
    WrongUseError
        If the pixel size is none of a microscope.
    """

    def __init__(self, folder: Path, options: MaskOptions | None = None) -> None:
        self._folder = folder
        self._options = options or MaskOptions()
        require_plausible(self._options.mpp)
        self.total = 0
        """How many images there are, and labels without one; known once reading has begun."""

    def items(self) -> Iterator[SourceItem | RefusedItem]:
        """Yield each image, and each file or cell that cannot be used.

        Raises
        ------
        InputError
            If there is no such folder, or no labels in it.
        """
        files = listing(self._folder, IMAGE_SUFFIXES)
        found = label_files(files.files, self._options.labels_folder)
        if not found.labelled and not found.wrong:
            raise InputError(
                f"{self._folder}: no labels there or below. Expected folders images and labels "
                f"(or masks) with files of the same names, or files that end in _labels or _masks."
            )
        self.total = sum(map(len, (files.refused, found.wrong, found.labelled, found.alone)))
        name_of = naming([*(one.image for one in found.labelled), *found.alone])
        yield from files.refused
        yield from (RefusedItem(one, reason) for one, reason in found.wrong.items())
        with ImageDecoder() as decoder:
            for one in found.labelled:
                yield from self._labelled(one, name_of(one.image), decoder)
            for image in found.alone:
                yield self._bare(image, name_of(image), decoder)

    def _labelled(
        self, one: Labelled, name: str, decoder: ImageDecoder
    ) -> Iterator[SourceItem | RefusedItem]:
        path = self._folder / one.image
        try:
            file = measured(path, self._options.mpp, decoder)
            size = file.width, file.height
            if one.labels:
                cells = labelled_cells(name, _values(self._folder / one.labels, size, decoder))
            else:
                masks = [self._folder / mask for mask in one.masks]
                cells = masked_cells(name, masks, size, decoder)
        except AnnotationError as error:
            yield RefusedItem(one.image, f"{one.labels}: {error}")
            return
        except InputError as error:
            yield RefusedItem(one.image, str(error))
            return
        yield from cells.refused
        # A refused mask was a cell: what is left is then right, but not complete.
        complete = self._options.complete and not cells.refused
        said = Said(Role.POSITIVE, cells.annotations, complete, noticed=cells.noticed)
        yield region_image(name, path, file, said)

    def _bare(self, image: str, name: str, decoder: ImageDecoder) -> SourceItem | RefusedItem:
        if self._options.without_labels == "refuse":
            return RefusedItem(
                image,
                "there are no labels for it: nobody says what it shows. Add them, or take such "
                "images with --without-labels unlabelled.",
            )
        try:
            file = measured(self._folder / image, self._options.mpp, decoder)
        except InputError as error:
            return RefusedItem(image, str(error))
        return region_image(name, self._folder / image, file, Said(Role.UNLABELLED))


def _values(path: Path, size: tuple[int, int], decoder: ImageDecoder) -> NDArray[np.int32]:
    """Return the values of a label image, (h, w), which must be as large as its image."""
    try:
        values = decoder.labels(path)
    except ImageError as error:
        _refuse(str(error).removeprefix(f"{path}: "))
    if values.shape != size[::-1]:
        height, width = values.shape
        _refuse(f"it has {width} x {height} px, its image {size[0]} x {size[1]}.")
    return values


def _refuse(reason: str) -> NoReturn:
    raise AnnotationError(reason)


def labelled_cells(name: str, values: NDArray[np.int32]) -> Cells:
    """Return the cells of a label image; each is called after its image and value.

    Parameters
    ----------
    name
        Of the image.
    values : (h, w) int32
        Which cell each pixel belongs to; 0 is background.

    Raises
    ------
    AnnotationError
        If the values are no cells.
    """
    numbers = np.unique(values)
    numbers = numbers[numbers > 0]
    if len(numbers) > MAXIMUM_CELLS:
        _refuse(f"it has {len(numbers)} values, at most {MAXIMUM_CELLS} are read. Is it a picture?")
    if len(numbers) and numbers[-1] > _DENSE:
        values = np.where(values > 0, np.searchsorted(numbers, values) + 1, 0).astype(np.int32)
        places = find_objects(values)
        chosen = list(zip(range(1, len(numbers) + 1), places, strict=True))
    else:
        places = find_objects(values)
        chosen = [(number, places[number - 1]) for number in numbers.tolist()]
    drawing = _Drawing()
    for number, (rows, columns) in chosen:
        drawing.add(values[rows, columns] == number, columns.start, rows.start)
    drawing.require_cells()
    return drawing.cells([f"{name}#{number}" for number in numbers.tolist()], ())


def masked_cells(
    name: str, masks: Sequence[Path], size: tuple[int, int], decoder: ImageDecoder
) -> Cells:
    """Return the cells of single masks; each is called after its image and file."""
    drawing = _Drawing()
    ids, refused = [], []
    for path in masks:
        try:
            mask = _values(path, size, decoder) > 0
            if not mask.any():
                _refuse("it is empty.")
        except AnnotationError as error:
            refused.append(RefusedRecord(f"{name}: {path.name}", str(error)))
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        (y0, y1), (x0, x1) = rows[[0, -1]].tolist(), columns[[0, -1]].tolist()
        drawing.add(mask[y0 : y1 + 1, x0 : x1 + 1], x0, y0)
        ids.append(f"{name}#{path.stem}")
    return drawing.cells(ids, tuple(refused))


class _Drawing:
    """Collects cells, pixel by pixel."""

    def __init__(self) -> None:
        self._boxes: list[tuple[int, int, int, int]] = []
        self._rings: list[NDArray[np.float64]] = []
        self._n_pieces: list[int] = []
        self._n_holes = 0
        self._shares: list[float] = []

    def add(self, mask: NDArray[np.bool_], x0: int, y0: int) -> None:
        """Add a cell: pixels (h, w) of its box, and where that lies."""
        height, width = mask.shape
        outline = pixel_outline(np.ascontiguousarray(mask))
        self._boxes.append((x0, y0, x0 + width, y0 + height))
        self._rings.append(outline.ring + np.array([x0, y0], np.float64))
        self._n_pieces.append(outline.n_pieces)
        self._n_holes += outline.has_holes
        self._shares.append(outline.share)

    def require_cells(self) -> None:
        """Refuse values that lie all over the image, as those of classes or of a picture do."""
        n_cells, n_pieces = len(self._boxes), sum(self._n_pieces)
        one_for_all = n_cells == 1 and self._shares[0] < LARGEST_SHARE
        if one_for_all or n_pieces > SCATTERED * n_cells + FEW_PIECES:
            _refuse(
                f"its {n_cells} values lie in {n_pieces} separate pieces: are they classes? "
                f"Expected a value of its own for each cell."
            )

    def cells(self, ids: Sequence[str], refused: tuple[RefusedRecord, ...]) -> Cells:
        """Return what was added, under these names."""
        boxes = np.array(self._boxes, np.float64).reshape(-1, 4)
        annotations = Annotations(np.array(ids, np.str_), boxes, Polygons.of_rings(self._rings))
        in_pieces = sum(one > 1 for one in self._n_pieces)
        noticed = {PIECES: in_pieces, HOLES: self._n_holes}
        return Cells(annotations, refused, {what: n for what, n in noticed.items() if n})
