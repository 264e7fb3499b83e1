import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.prediction.grid import lay_windows, read_mirrored
from models.prediction.settings import WindowSettings


class ArraySource:
    def __init__(self, image):
        self.image = image

    @property
    def shape(self):
        return self.image.shape[:2]

    def read(self, y0, x0, height, width):
        return self.image[y0 : y0 + height, x0 : x0 + width]


@given(length=st.integers(1, 700), overlap=st.integers(0, 32))
def test_every_pixel_is_covered_and_neighbours_overlap_enough(length, overlap):
    axis = lay_windows(length, WindowSettings(window_px=64, overlap_px=overlap))
    assert axis.starts[0] == -(overlap // 2)
    assert axis.starts[-1] + 64 >= length + overlap // 2
    assert np.diff(axis.starts).max(initial=0) <= 64 - overlap
    assert axis.total.min() > 0


def test_weights_of_a_full_overlap_sum_to_one():
    settings = WindowSettings(window_px=64, overlap_px=16)
    axis = lay_windows(64 + 48 - 16, settings)
    assert axis.starts == (-8, 40)
    np.testing.assert_allclose(axis.total[8:-8], 1, atol=1e-6)


def test_a_window_counts_less_towards_its_border():
    taper = lay_windows(64, WindowSettings(window_px=64, overlap_px=16)).taper
    assert (np.diff(taper[:16]) >= 0).all()
    np.testing.assert_array_equal(taper, taper[::-1])
    np.testing.assert_array_equal(taper[:4], 0)
    np.testing.assert_array_equal(taper[16:48], 1)


def test_without_overlap_every_pixel_counts_the_same():
    axis = lay_windows(128, WindowSettings(window_px=64, overlap_px=0))
    assert axis.starts == (0, 64)
    np.testing.assert_array_equal(axis.total, 1)


@pytest.mark.parametrize("shape", [(10, 12), (3, 30), (1, 1), (2, 5)])
@pytest.mark.parametrize("place", [(-4, -3), (0, 0), (5, -9)])
def test_beyond_the_region_lies_its_mirror_image(shape, place):
    image = np.arange(np.prod(shape) * 3, dtype=np.uint8).reshape(*shape, 3)
    found = read_mirrored(ArraySource(image), place[0], place[1], 16)
    expected = np.pad(image, ((20, 40), (20, 40), (0, 0)), mode="reflect")
    y, x = place[0] + 20, place[1] + 20
    np.testing.assert_array_equal(found, expected[y : y + 16, x : x + 16])
