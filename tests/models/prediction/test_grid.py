import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.geometry.tiles import STRIDE_PX
from models.prediction.grid import CROSSING_PX, lay_windows, read_mirrored
from models.prediction.settings import WindowSettings


class ArraySource:
    def __init__(self, image):
        self.image = image

    @property
    def shape(self):
        return self.image.shape[:2]

    def read(self, y0, x0, height, width):
        return self.image[y0 : y0 + height, x0 : x0 + width]


layouts = st.builds(
    lambda window, overlap: WindowSettings(
        window_px=32 * window, overlap_px=overlap % (16 * window)
    ),
    st.integers(1, 20),
    st.integers(0, 1000),
)


@given(st.integers(0, 900), st.integers(1, 1500), layouts, st.integers(0, 200))
def test_pixels_count_where_the_border_of_a_window_is_far(first, length, settings, border):
    axis = lay_windows(first, first + length, settings, border)
    assert axis.total.min() > 0
    assert (np.diff(axis.taper[: axis.side // 2]) >= 0).all()
    np.testing.assert_array_equal(axis.taper, axis.taper[::-1])
    spoiled = max(0, border - CROSSING_PX // 2)
    assert not axis.taper[:spoiled].any()
    # The area's own border too is seen with as much around it.
    assert first - axis.starts[0] >= border
    assert axis.starts[-1] + axis.side - (first + length) >= border


@given(
    st.integers(0, 900), st.integers(1, 1500), layouts, st.integers(0, 200), st.integers(0, 5000)
)
def test_windows_lie_on_the_stride_and_are_few_and_no_larger_than_asked(
    first, length, settings, border, place
):
    axis = lay_windows(first, first + length, settings, border, place)
    assert not any((start + place) % STRIDE_PX for start in axis.starts)
    assert first - axis.starts[0] >= border
    assert axis.starts[-1] + axis.side - (first + length) >= border
    assert axis.side % STRIDE_PX == 0
    steps = np.diff(axis.starts)
    overlap = axis.side - steps
    assert (overlap >= max(settings.overlap_px, 2 * border)).all()
    assert (overlap < max(settings.overlap_px, 2 * border) + STRIDE_PX).all()
    largest = max(settings.window_px, 2 * overlap.max(initial=0))
    assert axis.side <= largest + STRIDE_PX or not len(steps)
    assert len(axis.starts) * axis.side <= 2 * (length + 4 * border + settings.window_px + 96)


@given(st.integers(0, 900), st.integers(1, 1500), layouts, st.integers(0, 200))
def test_weights_of_neighbours_sum_to_one(first, length, settings, border):
    axis = lay_windows(first, first + length, settings, border)
    np.testing.assert_allclose(axis.total[CROSSING_PX:-CROSSING_PX], 1, atol=1e-6)


def test_what_fits_is_seen_by_one_window():
    axis = lay_windows(0, 512, WindowSettings(window_px=640), border_px=64)
    assert (axis.starts, axis.side) == ((-64,), 640)


def test_what_fits_is_seen_by_one_window_wherever_it_lies_on_the_slide():
    axis = lay_windows(0, 512, WindowSettings(window_px=640), border_px=64, place=1005)
    assert (axis.starts, axis.side) == ((-64 - (1005 - 64) % 32,), 672)


def test_windows_are_even():
    axis = lay_windows(0, 512, WindowSettings(window_px=512), border_px=64)
    assert (axis.starts, axis.side) == ((-64, 192), 384)


def test_windows_grow_where_half_of_them_would_be_overlap():
    axis = lay_windows(0, 1000, WindowSettings(window_px=64), border_px=64)
    assert axis.side == 256


def test_without_overlap_every_pixel_counts_the_same():
    axis = lay_windows(0, 128, WindowSettings(window_px=64, overlap_px=0))
    assert axis.starts == (0, 64)
    np.testing.assert_array_equal(axis.total, 1)


@pytest.mark.parametrize("shape", [(10, 12), (3, 30), (1, 1), (2, 5)])
@pytest.mark.parametrize("place", [(-4, -3), (0, 0), (5, -9), (-12, 11)])
def test_beyond_the_region_lies_its_mirror_image(shape, place):
    image = np.arange(np.prod(shape) * 3, dtype=np.uint8).reshape(*shape, 3)
    found = read_mirrored(ArraySource(image), place[0], place[1], 16, 10)
    expected = np.pad(image, ((20, 40), (20, 40), (0, 0)), mode="reflect")
    y, x = place[0] + 20, place[1] + 20
    np.testing.assert_array_equal(found, expected[y : y + 16, x : x + 10])
