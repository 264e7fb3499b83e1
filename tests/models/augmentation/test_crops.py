"""Flips, quarter turns and stain."""

import numpy as np
import pytest

from models.augmentation.crops import augment, restained
from models.augmentation.settings import AugmentationSettings

OFF = AugmentationSettings(turn=False, stain=0, brightness=0)
SHAPE_ONLY = AugmentationSettings(turn=True, stain=0, brightness=0)


def crop(side=6):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
    return image, image[..., 0] % 3


def test_with_everything_off_a_crop_stays_as_it_was_read():
    image, classes = crop()
    varied, labels = augment(image, classes, OFF, np.random.default_rng(1))
    assert np.array_equal(varied, image)
    assert np.array_equal(labels, classes)


def test_labels_turn_with_the_image_in_all_eight_ways():
    image, classes = crop()
    seen = set()
    for seed in range(60):
        varied, labels = augment(image, classes, SHAPE_ONLY, np.random.default_rng(seed))
        assert np.array_equal(labels, varied[..., 0] % 3)
        seen.add(varied.tobytes())
    assert len(seen) == 8


def test_stain_changes_colours_but_not_labels():
    image, classes = crop()
    settings = AugmentationSettings(turn=False, stain=0.1, brightness=0.04)
    varied, labels = augment(image, classes, settings, np.random.default_rng(1))
    assert np.array_equal(labels, classes)
    assert not np.array_equal(varied, image)
    assert np.abs(varied.astype(int) - image).max() < 40


def test_twice_the_optical_density_squares_the_transmission():
    image = np.full((1, 1, 3), 127, np.uint8)
    varied = restained(image, np.array([1.0, 2.0, 1.0]), np.array([0.0, 0.0, np.log(2)]))
    assert varied[0, 0].tolist() == [127, 63, 63]


def test_settings_do_not_move_the_random_stream():
    image, classes = crop()
    states = []
    for settings in (OFF, AugmentationSettings()):
        rng = np.random.default_rng(5)
        augment(image, classes, settings, rng)
        states.append(rng.integers(2**60))
    assert states[0] == states[1]


@pytest.mark.parametrize("settings", [SHAPE_ONLY, AugmentationSettings()])
def test_equal_generators_give_equal_crops(settings):
    image, classes = crop()
    first, second = (augment(image, classes, settings, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first[0], second[0])
