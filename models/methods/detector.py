"""The detector of Li et al. 2019: image, three-class map, cells, boxes (sec. 2.2, figure 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Detections, Polygons
from models.instances.find import Instances, find_instances
from models.prediction.grid import margin_of
from models.prediction.windows import predict

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from models.geometry.tiles import Area, Placement
    from models.instances.find import PackedCells
    from models.instances.settings import InstanceSettings
    from models.prediction.protocols import BlockSource
    from models.prediction.settings import WindowSettings
    from models.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Found:
    """What the detector says of one region, in working pixels."""

    probabilities: NDArray[np.float32]
    """(2, h, w) of edge and inner, 0 to 1; the rest is background."""
    cells: Instances


@dataclass(frozen=True, slots=True)
class Detector:
    """A trained network with the settings that turn its maps into cells."""

    network: nn.Module
    windows: WindowSettings
    instances: InstanceSettings
    runtime: Runtime

    @property
    def around_px(self) -> int:
        """How far around an area the network looks, in working pixels."""
        return margin_of(self.windows, getattr(self.network, "border_px", 0))

    def look(self, source: BlockSource, area: Area | None = None) -> NDArray[np.float32]:
        """Return p(edge) and p(inner) of one region or an area of it, (2, h, w), 0 to 1."""
        maps = predict(self.network, source, self.windows, self.runtime, area)
        return np.array(maps[1:], np.float32)  # a copy: p(background) is not kept alive

    def find(self, source: BlockSource, area: Area | None = None) -> Found:
        """Return what the detector finds in one region, or in an area of it, in pixels of that."""
        maps = self.look(source, area)
        return Found(maps, find_instances(maps[1], maps[0], self.instances))


def in_level0(cells: Instances | PackedCells, placement: Placement) -> Detections:
    """Return cells in level-0 pixels, given where the working pixels lie."""
    polygons = cells.polygons
    return Detections(
        placement.boxes_to_level0(cells.boxes),
        np.asarray(cells.scores, np.float64),
        Polygons(placement.to_level0(polygons.values), polygons.offsets),
    )
