"""How good a network is while it trains, judged by what selection may see: partial labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from models.methods.detector import Detector
from models.metrics.detection import evaluate
from models.metrics.matching import ImageCells
from models.networks.weights import weights_digest
from models.prediction.frozen import freeze

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from models.annotations import Role
    from models.instances.settings import InstanceSettings
    from models.metrics.settings import EvaluationSettings
    from models.prediction.protocols import BlockSource
    from models.prediction.settings import WindowSettings
    from models.runtime import Runtime


@dataclass(frozen=True, slots=True)
class ValidationRegion:
    """One region of the validation part."""

    region_id: str
    slide: str
    role: Role
    source: BlockSource
    annotated: NDArray[np.float64]
    """(n, 4) boxes that a person marked, in working pixels; never the complete truth."""


class RegionMemory(Protocol):
    """Keeps what one network saw in each region, so that a kill costs no whole validation."""

    def begin(self, weights: str) -> None:
        """Forget what a network of other weights saw."""
        ...

    def recall(self, region_id: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return boxes (n, 4) and scores (n,) that were kept of a region, or None."""
        ...

    def keep(self, region_id: str, boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> None:
        """Keep what was found in a region."""
        ...


@dataclass(frozen=True, slots=True)
class Validation:
    """Scores a network on the validation regions; called by the training loop."""

    regions: Sequence[ValidationRegion]
    windows: WindowSettings
    instances: InstanceSettings
    evaluation: EvaluationSettings
    runtime: Runtime
    memory: RegionMemory | None = None
    heed: Callable[[], None] = lambda: None
    """Called before each region; what it raises ends the validation."""

    def __call__(self, network: nn.Module, _epoch: int) -> dict[str, float]:
        """Return the validation FROC as `selection`, with what it stands on.

        Its interval over slides is left out where there are fewer than two; `fps` is per normal
        region where there are `normal_regions`.
        """
        # Frozen once here, not once for each region.
        frozen = freeze(network, self.runtime)
        detector = Detector(frozen, self.windows, self.instances, self.runtime)
        if self.memory is not None:
            self.memory.begin(weights_digest(network.state_dict()))
        images = [self._seen(region, detector) for region in self.regions]
        result = evaluate(images, self.evaluation)
        found = {
            "selection": result.froc,
            "froc": result.froc,
            "recall": result.instance_recall,
            "fps": result.fps,
            "normal_regions": float(result.n_negative_images),
        }
        if result.froc_interval:
            found["froc_low"], found["froc_high"] = result.froc_interval
        return found

    def _seen(self, region: ValidationRegion, detector: Detector) -> ImageCells:
        self.heed()
        known = self.memory.recall(region.region_id) if self.memory is not None else None
        if known is None:
            cells = detector.find(region.source).cells
            known = cells.boxes, cells.scores
            if self.memory is not None:
                self.memory.keep(region.region_id, *known)
        return ImageCells(
            region.region_id, region.slide, region.role, False, region.annotated, *known
        )
