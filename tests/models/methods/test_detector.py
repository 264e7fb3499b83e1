from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from models.geometry.tiles import Placement
from models.instances.settings import InstanceSettings
from models.methods.detector import Detector, in_level0
from models.prediction.frozen import freeze
from models.prediction.settings import WindowSettings
from models.runtime import Runtime

RUNTIME = Runtime("cpu", "fp32", 1)


class Colours(nn.Module):
    """Red is background, green edge, blue inner."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((1,), 12.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.gain * images


@dataclass
class Picture:
    image: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    def read(self, y0, x0, height, width):
        return self.image[y0 : y0 + height, x0 : x0 + width]


def picture(*cells, shape=(90, 150)):
    image = np.zeros((*shape, 3), np.uint8)
    image[..., 0] = 255
    for x0, y0, x1, y1 in cells:
        image[y0:y1, x0:x1] = [0, 255, 0]
        image[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = [0, 0, 255]
    return Picture(image)


@pytest.fixture
def detector():
    windows = WindowSettings(window_px=64, overlap_px=16)
    return Detector(Colours(), windows, InstanceSettings(minimum_area_px=4), RUNTIME)


def test_cells_are_found_where_they_are_across_windows(detector):
    found = detector.find(picture((10, 20, 30, 44), (50, 30, 72, 52)))
    assert found.cells.boxes.tolist() == [[10, 20, 30, 44], [50, 30, 72, 52]]
    assert (found.cells.scores > 0.6).all()


def test_edge_and_inner_are_kept_of_the_three_probabilities(detector):
    maps = detector.find(picture((10, 20, 30, 44))).probabilities
    assert maps.shape == (2, 90, 150)
    assert maps[1, 30, 20] > 0.99
    assert maps[0, 21, 11] > 0.99
    assert (maps[:, 80, 140] < 0.01).all()
    assert maps.base is None  # the third is not kept alive


def test_an_empty_region_has_no_cells(detector):
    assert len(detector.find(picture()).cells) == 0


def test_a_frozen_network_finds_the_same(detector):
    frozen = Detector(
        freeze(detector.network, RUNTIME), detector.windows, detector.instances, RUNTIME
    )
    source = picture((10, 20, 30, 44))
    np.testing.assert_array_equal(
        frozen.find(source).probabilities, detector.find(source).probabilities
    )


def test_what_is_found_is_placed_on_the_slide(detector):
    found = detector.find(picture((10, 20, 30, 44)))
    cells = in_level0(found.cells, Placement(1000, 2000, 2.0))
    assert cells.boxes.tolist() == [[1020, 2040, 1060, 2088]]
    assert cells.scores.tolist() == found.cells.scores.tolist()
    low, high = cells.polygons[0].min(axis=0), cells.polygons[0].max(axis=0)
    assert [*low, *high] == [1020, 2040, 1060, 2088]
