"""Read slides and images that were annotated in Aperio ImageScope, with the XML beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from storage.datasets.annotated_slides import AnnotatedSlides, Marks
from storage.datasets.aperio_file import read_aperio, stated_mpp
from storage.datasets.drawn_slide import Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from storage.datasets.beside import Pair


class AperioReader(AnnotatedSlides):
    """Yields slides and images with the outlines of an XML file of the same name.

    The class of an outline is the name of its layer; its own text where the layer has none.
    Outlines of neither are cells, too, unless one class is asked for.
    """

    suffixes = (".xml",)

    def __init__(
        self,
        path: Path,
        wanted: Wanted | None = None,
        mpp: float | None = None,
        annotations: Path | None = None,
    ) -> None:
        super().__init__(path, replace(wanted or Wanted(), unclassified=True), mpp, annotations)

    def marks(self, pair: Pair) -> Marks:
        """Return the outlines of a file, and the pixel size at which they were drawn."""
        found = read_aperio(pair.annotations, pair.name)
        return Marks(found, stated_mpp(pair.annotations))
