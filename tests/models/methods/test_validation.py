import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models.annotations import Role
from models.instances.settings import InstanceSettings
from models.methods.detector import Detector
from models.methods.validation import Validation, ValidationRegion
from models.metrics.settings import EvaluationSettings
from models.prediction.frozen import freeze
from models.prediction.settings import WindowSettings
from models.runtime import Runtime

CELL = (10, 20, 30, 44)


class Colours(nn.Module):
    """Red is background, green edge, blue inner."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.full((1,), 12.0))
        self.drop = nn.Dropout(0.5)

    def forward(self, images):
        return self.drop(self.gain * images)


class Picture:
    def __init__(self, *cells, shape=(64, 64)):
        self.image = np.zeros((*shape, 3), np.uint8)
        self.image[..., 0] = 255
        for x0, y0, x1, y1 in cells:
            self.image[y0:y1, x0:x1] = [0, 255, 0]
            self.image[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = [0, 0, 255]

    @property
    def shape(self):
        return self.image.shape[:2]

    def read(self, y0, x0, height, width):
        return self.image[y0 : y0 + height, x0 : x0 + width]


def region(name, shown, annotated, role=Role.POSITIVE):
    boxes = np.array(annotated, float).reshape(-1, 4)
    return ValidationRegion(name, name, role, Picture(*shown), boxes)


def validation(*regions):
    return Validation(
        regions,
        WindowSettings(window_px=64, overlap_px=0),
        InstanceSettings(minimum_area_px=4),
        EvaluationSettings(bootstrap=500),
        Runtime("cpu", "fp32", 1),
    )


def test_the_selection_is_the_froc_against_what_a_person_marked():
    missed = (40, 4, 56, 16)
    scores = validation(region("a", [CELL], [CELL, missed]))(Colours(), 3)
    assert scores["selection"] == scores["froc"] == pytest.approx(0.5)
    assert scores["recall"] == pytest.approx(0.5)


def test_false_positives_are_counted_on_negative_regions():
    negative = region("n", [CELL, (40, 4, 60, 16)], [], Role.NEGATIVE)
    scores = validation(region("a", [CELL], [CELL]), negative)(Colours(), 1)
    assert scores["fps"] == pytest.approx(2.0)
    assert scores["recall"] == pytest.approx(1.0)


def test_the_network_is_left_as_it_was():
    network = Colours().train()
    before = torch.random.get_rng_state()
    validation(region("a", [CELL], [CELL]))(network, 1)
    assert network.training
    assert network.gain.item() == 12.0
    assert network.gain.requires_grad
    assert torch.equal(torch.random.get_rng_state(), before)


class Memory:
    def __init__(self):
        self.weights, self.kept = "", {}

    def begin(self, weights):
        if weights != self.weights:
            self.weights, self.kept = weights, {}

    def recall(self, region_id):
        return self.kept.get(region_id)

    def keep(self, region_id, boxes, scores):
        self.kept[region_id] = boxes, scores


class Interrupted(Exception):  # noqa: N818  # like KeyboardInterrupt
    pass


def interrupted(after):
    """Return what ends a validation before its next region, once `after` of them were seen."""
    numbers = itertools.count()

    def heed():
        if next(numbers) == after:
            raise Interrupted

    return heed


def test_an_interrupted_validation_goes_on_with_the_next_region_and_scores_the_same(monkeypatch):
    regions = [region(name, [CELL], [CELL, (40, 4, 56, 16)]) for name in "abcd"]
    undisturbed = validation(*regions)(Colours(), 1)
    seen, find, memory = [], Detector.find, Memory()

    def looked(self, source):
        seen.append(source)
        return find(self, source)

    monkeypatch.setattr(Detector, "find", looked)
    for after in (2, 3):
        with pytest.raises(Interrupted):
            replace(validation(*regions), memory=memory, heed=interrupted(after))(Colours(), 1)
    assert replace(validation(*regions), memory=memory)(Colours(), 1) == undisturbed
    assert seen == [one.source for one in regions]


def test_what_other_weights_saw_is_forgotten():
    memory, network = Memory(), Colours()
    asked = replace(validation(region("a", [CELL], [CELL])), memory=memory)
    assert asked(network, 1)["recall"] == 1.0
    with torch.no_grad():
        network.gain.fill_(0.0)  # sees nothing any more
    assert asked(network, 2)["recall"] == 0.0


def test_the_network_is_frozen_once_for_all_regions(monkeypatch):
    frozen = []

    def counted(network, runtime):
        frozen.append(network)
        return freeze(network, runtime)

    monkeypatch.setattr("models.methods.validation.freeze", counted)
    validation(*(region(name, [CELL], [CELL]) for name in "abc"))(Colours(), 1)
    assert len(frozen) == 1
