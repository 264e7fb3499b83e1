from dataclasses import replace

import numpy as np
import torch

from models.networks.registry import build
from models.networks.settings import NetworkSettings
from models.prediction.frozen import Frozen
from storage.checkpoints import load_state, save_checkpoint
from tasks.network import load_detector, load_network


def test_a_network_has_the_weights_of_its_checkpoint(ground, recipe, trained):
    network = load_network(ground.at, recipe.detector, trained)
    stored = load_state(ground.at, trained)
    state = network.state_dict()
    assert set(state) == set(stored)
    assert all(torch.equal(state[name], stored[name]) for name in stored)


def test_no_pretrained_weights_are_fetched_to_be_overwritten(ground, recipe, monkeypatch):
    # resnet18 stands for any encoder; its ImageNet weights would be asked of the network.
    settings = NetworkSettings(family="unet", encoder="resnet18", weights="imagenet")
    random = build(settings.model_copy(update={"weights": "random"}), seed=1)
    ref = save_checkpoint(ground.at, random.state_dict(), {})

    def refuse(*_words, **_named):
        raise AssertionError("weights were fetched")

    monkeypatch.setattr("models.networks.weights._imagenet", refuse)
    network = load_network(ground.at, replace(recipe.detector, network=settings), ref)
    assert torch.equal(next(network.parameters()), next(random.parameters()))


def test_a_detector_is_ready_frozen_and_finds_the_same_twice(ground, recipe, trained):
    detector = load_detector(ground.at, recipe.detector, trained)
    assert isinstance(detector.network, Frozen)
    assert torch.get_num_threads() == 1

    class Grey:
        shape = (96, 96)

        def read(self, y0, x0, height, width):
            return np.full((height, width, 3), 128, np.uint8)

    first, second = detector.find(Grey()), detector.find(Grey())
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
