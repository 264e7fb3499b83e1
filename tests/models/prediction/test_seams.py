"""The decisive test of exact seams: cells of one region, however it was cut into windows."""

import numpy as np
import pytest
import torch

from models.geometry.boxes import overlaps
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.geometry.tiles import Area
from models.instances.find import find_instances
from models.instances.settings import InstanceSettings
from models.losses.cross_entropy_iou import cross_entropy_iou
from models.networks.registry import build
from models.networks.segmenter import class_probabilities
from models.networks.settings import NetworkSettings
from models.prediction.frozen import freeze, threads_of
from models.prediction.settings import WindowSettings
from models.prediction.windows import predict
from models.runtime import Runtime
from storage.datasets.synthetic.organ import make_organ
from storage.datasets.synthetic.regions import draw_region

FP32 = Runtime("cpu", "fp32", 1)
ENOUGH = 0.995
ONE_PIECE = WindowSettings(window_px=4096)


class ArraySource:
    def __init__(self, image):
        self.image = image

    @property
    def shape(self):
        return self.image.shape[:2]

    def read(self, y0, x0, height, width):
        return self.image[y0 : y0 + height, x0 : x0 + width]


def drawn(side_px, seed):
    """Return tissue at half scale, crowded, with the boxes of its cells."""
    image, boxes = draw_region(make_organ(2), 2, 2 * side_px, positive=True, seed=seed)
    halves = image.reshape(side_px, 2, side_px, 2, 3).mean(axis=(1, 3))
    return np.rint(halves).astype(np.uint8), boxes / 2


@threads_of(FP32)
def trained(settings, n_steps):
    """Return a network that finds cells, after a few seconds."""
    network = build(settings, seed=0).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=n_steps)
    image, boxes = drawn(512, seed=1)
    classes, _ = rasterise(boxes, image.shape[:2], EllipseSettings())
    rng = np.random.default_rng(0)
    for _ in range(n_steps):
        corners = rng.integers(0, 512 - 128, (4, 2))
        crops = [np.s_[y : y + 128, x : x + 128] for y, x in corners]
        pixels = torch.from_numpy(np.stack([image[crop] for crop in crops]))
        wanted = torch.from_numpy(np.stack([classes[crop] for crop in crops]))
        loss = cross_entropy_iou(network(pixels.permute(0, 3, 1, 2) / 255), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return freeze(network.eval(), FP32)


@pytest.fixture(scope="module")
def network():
    return trained(NetworkSettings(family="tiny_resnet"), 250)


@pytest.fixture(scope="module")
def crowd():
    return ArraySource(drawn(1344, seed=7)[0])


@pytest.fixture(scope="module")
def in_one_piece(network, crowd):
    found = cells(predict(network, crowd, ONE_PIECE, FP32))
    assert len(found) > 1000
    return found


def cells(maps):
    return find_instances(maps[2], maps[1], InstanceSettings()).boxes


def require_same(found, expected):
    """Raise unless almost all cells are found once and with the same box."""
    pairs = overlaps(found, expected, 0.9)
    n_matched = min(len(np.unique(pairs.rows)), len(np.unique(pairs.columns)))
    assert n_matched / max(len(found), len(expected)) >= ENOUGH
    require_single(found, expected)


def require_single(found, expected):
    """Raise if more boxes overlap each other than in the expected ones."""
    doubled = len(overlaps(found, found, 0.5).rows) - len(found)
    assert doubled <= len(overlaps(expected, expected, 0.5).rows) - len(expected)


@pytest.mark.slow
@pytest.mark.parametrize("window_px", [256, 512])
def test_the_size_of_the_window_changes_no_cell(network, crowd, in_one_piece, window_px):
    settings = WindowSettings(window_px=window_px, overlap_px=32)
    require_same(cells(predict(network, crowd, settings, FP32)), in_one_piece)


@pytest.mark.slow
def test_the_other_tiny_network_too_finds_the_same_cells_in_small_windows(crowd):
    network = trained(NetworkSettings(family="tiny_dla"), 250)
    in_one_piece = cells(predict(network, crowd, ONE_PIECE, FP32))
    assert len(in_one_piece) > 1000
    windows = WindowSettings(window_px=256)
    require_same(cells(predict(network, crowd, windows, FP32)), in_one_piece)


@pytest.mark.slow
def test_the_batch_changes_no_cell(network, crowd, in_one_piece):
    settings = WindowSettings(window_px=512, batch=4)
    require_same(cells(predict(network, crowd, settings, FP32)), in_one_piece)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [(7, 13), (150, 31)])
def test_the_grid_of_windows_changes_no_cell(network, crowd, in_one_piece, shift):
    # Asked for an area, prediction lays its windows there, wherever the others would lie.
    height, width = (side - 2 * by for side, by in zip(crowd.shape, shift, strict=True))
    area = Area(shift[0], shift[1], height, width)
    found = cells(predict(network, crowd, WindowSettings(window_px=512), FP32, area))
    found = found + np.tile(shift[::-1], 2)
    low, high = np.array(shift[::-1]) + 30, np.array([width, height]) + shift[::-1] - 30

    def inside(boxes):
        return boxes[(boxes[:, :2] >= low).all(axis=1) & (boxes[:, 2:] <= high).all(axis=1)]

    require_same(inside(found), inside(in_one_piece))


@pytest.mark.slow
def test_one_forward_pass_over_the_whole_region_finds_the_same_cells(network, crowd, in_one_piece):
    around = np.pad(crowd.image, ((192, 192), (192, 192), (0, 0)), mode="reflect")
    with torch.inference_mode(), threads_of(FP32):
        maps = class_probabilities(network(torch.from_numpy(around)[None]), network.head)[0]
    require_same(cells(maps.numpy()[:, 192:-192, 192:-192]), in_one_piece)
