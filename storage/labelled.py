"""Regions with their labels as training reads them: decoded once, kept within a memory budget."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.annotations import Role
    from storage.labels.store import LabelVersion
    from storage.regions import RegionInfo, Regions

MEMORY_BYTES = 2 * 2**30
"""Decoded pixels kept at a time; beyond it the region read longest ago is dropped."""


@dataclass(slots=True)
class LabelledRegions:
    """Some regions of one label version; implements the `RegionSource` protocol of training."""

    regions: Regions
    labels: LabelVersion
    infos: Sequence[RegionInfo]
    memory_bytes: int = MEMORY_BYTES
    _kept: OrderedDict[int, tuple[NDArray[np.uint8], NDArray[np.uint8]]] = field(
        default_factory=OrderedDict
    )
    _kept_bytes: int = 0

    def __len__(self) -> int:
        return len(self.infos)

    def shape(self, index: int) -> tuple[int, int]:
        """Return height and width of a region, in working pixels."""
        return self.infos[index].height, self.infos[index].width

    def role(self, index: int) -> Role:
        """Return what is known of the region's cells."""
        return self.infos[index].role

    def read(
        self, index: int, y0: int, x0: int, height: int, width: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image (height, width, 3) and classes (height, width) of a part of a region."""
        image, classes = self._decoded(index)
        part = np.s_[y0 : y0 + height, x0 : x0 + width]
        return image[part], classes[part]

    def centres(self, index: int) -> NDArray[np.int64]:
        """Return (n, 2) y, x of the labelled cells, in working pixels."""
        info = self.infos[index]
        boxes = info.placement.boxes_to_working(self.labels.records(info.region_id).boxes)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        limits = [info.width - 1, info.height - 1]
        return np.clip(middles.astype(np.int64), 0, limits)[:, ::-1]

    def _decoded(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        info = self.infos[index]
        pair = (
            self.regions.read(info.region_id, 0, 0, info.height, info.width),
            np.asarray(self.labels.classes(info.region_id)[:]),
        )
        self._kept[index] = pair
        self._kept_bytes += pair[0].nbytes + pair[1].nbytes
        while self._kept_bytes > self.memory_bytes and len(self._kept) > 1:
            _, (image, classes) = self._kept.popitem(last=False)
            self._kept_bytes -= image.nbytes + classes.nbytes
        return pair


@dataclass(frozen=True, slots=True)
class RegionBlocks:
    """The pixels of one region; implements the `BlockSource` protocol of prediction."""

    regions: Regions
    info: RegionInfo

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width, in working pixels."""
        return self.info.height, self.info.width

    @property
    def place(self) -> tuple[int, int]:
        """Return y, x of the first pixel on the slide, in working pixels."""
        placement = self.info.placement
        downsample = placement.downsample
        return round(placement.y0 / downsample), round(placement.x0 / downsample)

    def read(self, y0: int, x0: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return (height, width, 3) RGB of a part inside the region."""
        return self.regions.read(self.info.region_id, y0, x0, height, width)
