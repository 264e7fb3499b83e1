"""Read slides that were annotated in QuPath, and exported as GeoJSON.

Rectangles whose class says so are the regions that a person looked at; see
`storage.datasets.drawn_regions`. All coordinates are level-0 pixels, as QuPath writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.datasets.annotated_slides import AnnotatedSlides, Marks
from storage.geojson_objects import read_objects

if TYPE_CHECKING:
    from storage.datasets.beside import Pair


class QuPathReader(AnnotatedSlides):
    """Yields slides and images with the GeoJSON that lies beside them."""

    suffixes = (".geojson", ".geojson.gz")

    def marks(self, pair: Pair) -> Marks:
        """Return the objects of a file; it says nothing of the pixel size."""
        return Marks(read_objects(pair.annotations, pair.name))
