import threading

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from models.geometry.tiles import Area
from models.networks.registry import build
from models.networks.settings import NetworkSettings
from models.prediction.frozen import freeze
from models.prediction.settings import WindowSettings
from models.prediction.windows import predict
from models.runtime import Runtime

FP32 = Runtime("cpu", "fp32", 1)
WINDOWS = WindowSettings(window_px=64, overlap_px=16)


class ArraySource:
    def __init__(self, image):
        self.image, self.threads, self.blocks = image, set(), []

    @property
    def shape(self):
        return self.image.shape[:2]

    def read(self, y0, x0, height, width):
        assert y0 >= 0
        assert x0 >= 0
        assert y0 + height <= self.shape[0]
        assert x0 + width <= self.shape[1]
        self.threads.add(threading.get_ident())
        self.blocks.append((y0, x0, height, width))
        return self.image[y0 : y0 + height, x0 : x0 + width]


class Colours(nn.Module):
    """Each pixel's colours are its logits."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return 4 * self.gain * x


class SeesThreePixelsFar(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 3, 5, padding=2),
        )

    def forward(self, x):
        return 3 * self.body(x)


def picture(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, 3), np.uint8)


def at_once(network, image):
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        return network.eval()(pixels).softmax(1)[0].numpy()


@pytest.mark.parametrize("shape", [(64, 64), (200, 131), (40, 150), (5, 7), (1, 90), (65, 64)])
def test_a_network_that_sees_single_pixels_gives_the_same_in_windows_as_at_once(shape):
    image = picture(*shape)
    found = predict(Colours(), ArraySource(image), WINDOWS, FP32)
    assert found.shape == (3, *shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, at_once(Colours(), image), atol=1e-5)


def test_inside_the_region_windows_equal_a_forward_pass_over_the_whole_image():
    image = picture(150, 170)
    found = predict(SeesThreePixelsFar(), ArraySource(image), WINDOWS, FP32)
    expected = at_once(SeesThreePixelsFar(), image)
    inside = np.s_[:, 3:-3, 3:-3]
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-5)


@pytest.mark.parametrize(
    "area", [Area(40, 30, 64, 80), Area(0, 0, 10, 170), Area(149, 3, 1, 1), Area(64, 96, 86, 74)]
)
def test_an_area_of_a_region_is_as_in_the_whole_region(area):
    source = ArraySource(picture(150, 170))
    network = build(NetworkSettings(family="tiny_dla", weights="random"), seed=0)
    whole = predict(network, source, WINDOWS, FP32)
    part = predict(network, source, WINDOWS, FP32, area)
    here = np.s_[:, area.y0 : area.y0 + area.height, area.x0 : area.x0 + area.width]
    np.testing.assert_allclose(part, whole[here], atol=1e-3)


def test_a_region_is_seen_as_the_same_place_of_its_slide_wherever_it_was_cut():
    class Cut(ArraySource):
        place = 7, 45

    image = picture(400, 420)
    network = build(NetworkSettings(family="tiny_dla", weights="random"), seed=0)
    slide = predict(network, ArraySource(image), WINDOWS, FP32)
    region = predict(network, Cut(image[7:357, 45:]), WINDOWS, FP32)
    inside = np.s_[:, 80:-80, 80:-80]
    np.testing.assert_allclose(region[inside], slide[:, 7:357, 45:][inside], atol=1e-3)


def test_the_border_of_a_region_is_seen_mirrored_and_not_beside_black():
    # Mirroring continues a constant image; zeros around it would change its border.
    image = np.full((100, 100, 3), 200, np.uint8)
    found = predict(SeesThreePixelsFar(), ArraySource(image), WINDOWS, FP32)
    assert np.abs(found - found[:, 50:51, 50:51]).max() < 1e-5
    assert np.abs(at_once(SeesThreePixelsFar(), image) - found).max() > 0.02


@pytest.mark.parametrize("batch", [2, 5, 100])
def test_the_batch_size_does_not_change_the_result(batch):
    network = build(NetworkSettings(family="tiny_resnet", weights="random"), seed=0)
    source = ArraySource(picture(150, 140))
    one = predict(network, source, WINDOWS, FP32)
    many = predict(network, source, WINDOWS.model_copy(update={"batch": batch}), FP32)
    np.testing.assert_allclose(many, one, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_region_twice_gives_the_same_bits(precision):
    network = build(NetworkSettings(family="tiny_dla", weights="random"), seed=0)
    runtime = Runtime("cpu", precision, 1)
    first, second = (
        predict(network, ArraySource(picture(90, 80)), WINDOWS, runtime) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("head", ["softmax3", "sigmoid2"])
def test_probabilities_of_each_head_sum_to_one(head):
    network = build(NetworkSettings(family="tiny_resnet", weights="random", head=head), seed=0)
    found = predict(network, ArraySource(picture(70, 80)), WINDOWS, FP32)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)


def test_a_network_frozen_once_predicts_as_if_it_were_frozen_for_each_region():
    network = build(NetworkSettings(family="tiny_resnet", weights="random"), seed=0)
    source = ArraySource(picture(90, 80))
    fresh = predict(network, source, WINDOWS, FP32)
    np.testing.assert_array_equal(predict(freeze(network, FP32), source, WINDOWS, FP32), fresh)


def test_windows_are_read_by_one_other_thread_and_within_the_region():
    source = ArraySource(picture(150, 140))
    predict(Colours(), source, WINDOWS, FP32)
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads
    assert len(source.blocks) == 6 * 6


def test_an_error_while_reading_reaches_the_caller():
    class Broken(ArraySource):
        def read(self, y0, x0, height, width):
            if y0 > 0:
                raise OSError("chunk is damaged")
            return super().read(y0, x0, height, width)

    with pytest.raises(OSError, match="chunk is damaged"):
        predict(Colours(), Broken(picture(150, 140)), WINDOWS, FP32)


@pytest.mark.parametrize(
    "wrong", [{"window_px": 100}, {"overlap_px": 600}, {"batch": 0}, {"overlap_px": -1}]
)
def test_windows_that_cannot_be_laid_are_refused(wrong):
    with pytest.raises(ValidationError):
        WindowSettings(**wrong)
