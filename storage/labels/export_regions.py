"""The regions of a label version as QuPath shows them: rectangles that say what is known there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Role
from models.errors import IntegrityError, NotFoundError
from storage.datasets.registered import open_catalogue
from storage.geojson import feature, id_of, rectangle
from storage.labels.store import open_version
from storage.layout import Kind, Ref
from storage.regions import open_regions

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from storage.datasets.registered import Catalogue
    from storage.labels.store import LabelVersion
    from storage.layout import Workspace
    from storage.regions import RegionInfo, Regions

CLASSES = {
    Role.POSITIVE: "annotated",
    Role.NEGATIVE: "negative",
    Role.UNLABELLED: "unlabelled",
}
"""What a region is called, as `signetflow ingest geojson` reads it."""
COMPLETE_CLASS = "completely annotated"
PLAIN_CLASS = "Region*"
"""QuPath's own class, for a region of which nothing is said."""
COLOUR = [50, 50, 250]


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known of the regions that a version was drawn on."""

    regions: Regions | None = None
    catalogue: Catalogue | None = None

    @classmethod
    def of(cls, at: Workspace, version: LabelVersion) -> Self:
        """Return the ground of a version; it knows nothing where that is no longer there."""
        source = Ref(Kind.LABELS, version.info.human_source)
        try:
            root = version if source == version.info.ref else open_version(at, source)
            digest = root.info.parameters.get("regions")
            if not isinstance(digest, str):
                return cls()
            regions = open_regions(at, Ref(Kind.REGIONS, digest))
            return cls(regions, open_catalogue(at, Ref(Kind.DATASET, regions.dataset)))
        except (IntegrityError, NotFoundError):
            return cls()

    def region(self, version: LabelVersion, region_id: str) -> dict[str, Any]:
        """Return a region of the version as GeoJSON: a locked rectangle."""
        info = self._info(region_id)
        said = PLAIN_CLASS if info is None else self._said(version, info)
        properties = {
            "objectType": "annotation",
            "name": region_id,
            "classification": {"name": said, "color": COLOUR},
            "isLocked": True,
            "metadata": {"version": version.info.digest, "region": region_id},
        }
        drawn = rectangle(self._window(info, extent(version, region_id)))
        return feature(id_of(f"region/{region_id}"), drawn, properties)

    def _info(self, region_id: str) -> RegionInfo | None:
        try:
            return self.regions.info(region_id) if self.regions else None
        except NotFoundError:
            return None

    def _said(self, version: LabelVersion, info: RegionInfo) -> str:
        """Return the class of a region: what a person said of it."""
        truth = self.regions.truth(info.region_id) if self.regions else None
        if info.role is Role.POSITIVE and truth is not None:
            # Hidden annotations are part of the truth, but not of the version.
            drawn = set(version.records(info.region_id).annotation_ids.tolist())
            if drawn.issuperset(truth.ids.tolist()):
                return COMPLETE_CLASS
        return CLASSES[info.role]

    def _window(self, info: RegionInfo | None, box: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the rectangle that a person drew, where the region is one of those."""
        if info is None or self.catalogue is None:
            return box
        for known in self.catalogue.item(info.item).windows:
            one = known.window
            if (one.x0, one.y0) == (box[0], box[1]):
                return np.array([one.x0, one.y0, one.x1, one.y1], np.float64)
        return box


def extent(version: LabelVersion, region_id: str) -> NDArray[np.float64]:
    """Return the box of a region's arrays, (4,), in level-0 pixels.

    Where a working pixel spans more than one of level 0, it may end up to half a working pixel
    beside the window that was cut.
    """
    height, width = version.classes(region_id).shape
    boxes = version.placement(region_id).boxes_to_level0([0, 0, width, height])
    return boxes.reshape(4)
