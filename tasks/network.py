"""A stored checkpoint as a network, or as a detector that is ready to look at regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.instances.settings import InstanceSettings
from models.prediction.settings import WindowSettings
from models.settings import Settings

if TYPE_CHECKING:
    from models.methods.detector import Detector
    from models.networks.segmenter import Segmenter
    from models.networks.settings import NetworkSettings
    from models.runtime import Runtime
    from storage.layout import Ref, Workspace


class DetectorSettings(Settings):
    """How a network's maps become cells."""

    windows: WindowSettings = WindowSettings()
    instances: InstanceSettings = InstanceSettings()


@dataclass(frozen=True, slots=True)
class DetectorRecipe:
    """A network, how its maps become cells, and on what it runs."""

    network: NetworkSettings
    settings: DetectorSettings
    runtime: Runtime


def load_network(at: Workspace, recipe: DetectorRecipe, checkpoint: Ref) -> Segmenter:
    """Return the network of a checkpoint, on the CPU."""
    from models.networks.registry import build
    from storage.checkpoints import load_state

    # The checkpoint brings every weight: no pretrained ones are fetched to be overwritten.
    network = build(recipe.network.model_copy(update={"weights": "random"}), seed=0)
    network.load_state_dict(load_state(at, checkpoint))
    return network


def load_detector(at: Workspace, recipe: DetectorRecipe, checkpoint: Ref) -> Detector:
    """Return the detector of a checkpoint, on the recipe's device, ready to look."""
    import torch

    from models.methods.detector import Detector
    from models.prediction.frozen import freeze

    torch.set_num_threads(recipe.runtime.threads)
    network = freeze(load_network(at, recipe, checkpoint), recipe.runtime)
    settings = recipe.settings
    return Detector(network, settings.windows, settings.instances, recipe.runtime)
