"""Windows, levels and micrometres."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.errors import InputError
from models.geometry.settings import EllipseSettings, TileSettings
from models.geometry.tiles import (
    SAME_SCALE,
    STRIDE_PX,
    Placement,
    Window,
    choose_level,
    grid,
    level_window,
    on_stride,
    placed,
    plausible_mpp,
    spans,
    working_downsample,
    working_size,
)


def test_windows_that_only_touch_do_not_intersect():
    assert not Window(0, 0, 10, 10).intersects(Window(10, 0, 20, 10))
    assert Window(0, 0, 10, 10).intersects(Window(9, 9, 20, 20))


def test_a_window_contains_its_first_corner_and_not_its_last():
    inside = Window(10, 20, 30, 40).contains(np.array([(10, 20), (30, 40), (29.9, 39.9), (9, 25)]))
    assert inside.tolist() == [True, False, True, False]


def test_a_window_outside_another_is_clipped_to_nothing():
    clipped = Window(50, 50, 60, 60).clipped(Window(0, 0, 10, 10))
    assert (clipped.width, clipped.height) == (0, 0)
    assert Window(-5, -5, 5, 5).clipped(Window(0, 0, 10, 10)) == Window(0, 0, 5, 5)


def test_working_pixels_become_level_0_pixels_by_scale_and_origin():
    placement = Placement(100, 200, 2)
    assert placement.to_level0([[0, 0], [10, 5]]).tolist() == [[100, 200], [120, 210]]
    assert placement.boxes_to_working([[100, 200, 120, 210]]).tolist() == [[0, 0, 10, 5]]


@given(
    st.lists(st.tuples(*[st.floats(-1e5, 1e5)] * 4), max_size=5),
    st.tuples(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(1, 64)),
)
def test_boxes_survive_the_way_to_level_0_and_back(boxes, placement):
    there = Placement(*placement)
    rows = np.array(boxes, float).reshape(-1, 4)
    assert there.boxes_to_working(there.boxes_to_level0(rows)) == pytest.approx(rows, abs=1e-4)


def test_the_pixel_size_of_a_72_dpi_tag_is_not_plausible():
    assert [plausible_mpp(mpp) for mpp in (0.25, 0.5, 352.8, 0.0, float("nan"))] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_the_downsample_follows_from_micrometres_or_is_given():
    assert working_downsample(0.25, 0.5, None) == 2
    assert working_downsample(None, None, 3) == 3
    assert working_downsample(None, None, None) == 1


def test_scales_that_differ_by_a_percent_are_not_resampled():
    assert working_downsample(0.2525, 0.25, None) == 1


def test_micrometres_are_refused_for_an_image_without_a_pixel_size():
    with pytest.raises(InputError, match="--mpp"):
        working_downsample(None, 0.5, None)


def test_a_scale_finer_than_the_slide_is_refused():
    with pytest.raises(InputError, match="finer"):
        working_downsample(0.5, 0.25, None)


@pytest.mark.parametrize(
    ("downsample", "level"), [(1, 0), (1.9, 0), (2, 1), (3.9, 1), (4, 2), (8, 2), (64, 2)]
)
def test_the_level_is_the_coarsest_that_is_fine_enough(downsample, level):
    assert choose_level((1.0, 2.0, 4.016), downsample) == level


def test_a_level_may_be_a_hair_coarser_than_asked():
    assert choose_level((1.0, 4.0002), 4) == 1


def test_a_window_of_a_level_goes_to_the_nearest_pixel_and_never_vanishes():
    assert level_window(Window(8, 9, 15, 20), 4) == Window(2, 2, 4, 5)
    assert level_window(Window(8, 8, 9, 9), 4) == Window(2, 2, 3, 3)


def test_the_working_size_is_rounded_and_at_least_one_pixel():
    assert working_size(Window(0, 0, 101, 50), 2) == (25, 50)
    assert working_size(Window(0, 0, 1, 1), 64) == (1, 1)
    assert placed(Window(7, 9, 20, 20), 2) == Placement(7.0, 9.0, 2)


@given(st.integers(1, 400), st.integers(1, 400), st.floats(3, 500))
def test_the_grid_covers_each_pixel_exactly_once(width, height, side):
    seen = np.zeros((height, width), int)
    for window in grid(width, height, side):
        seen[window.y0 : window.y1, window.x0 : window.x1] += 1
    assert (seen == 1).all()


def test_the_grid_starts_at_the_corner_and_cuts_the_last_windows():
    assert list(grid(250, 100, 100)) == [
        Window(0, 0, 100, 100), Window(100, 0, 200, 100), Window(200, 0, 250, 100),
    ]  # fmt: skip


@given(st.integers(1, 300), st.integers(-50, 50), st.integers(300, 900), st.integers(1, 100))
def test_spans_join_without_gaps_on_both_axes(n_target, start, length, step):
    pieces = list(spans(n_target, (start, start + length), step))
    targets, sources = zip(*pieces, strict=True)
    assert targets[0].start == 0
    assert targets[-1].stop == n_target
    assert (sources[0].start, sources[-1].stop) == (start, start + length)
    for before, after in pairwise(pieces):
        assert before[0].stop == after[0].start
        assert before[1].stop == after[1].start


def test_tiles_take_one_scale_only():
    assert TileSettings(mpp=0.5).downsample is None
    with pytest.raises(ValidationError, match="not both"):
        TileSettings(mpp=0.5, downsample=2)


@pytest.mark.parametrize(
    "wrong", [{"mpp": 352.8}, {"region_px": 1}, {"minimum_tissue": 7}, {"a": 1}]
)
def test_tiles_out_of_bounds_or_unknown_are_refused(wrong):
    with pytest.raises(ValidationError):
        TileSettings(**wrong)


def test_the_edge_of_a_cell_is_thinner_than_the_cell():
    with pytest.raises(ValidationError):
        EllipseSettings(edge_fraction=0.5)


def test_a_grown_window_moves_every_side():
    assert Window(10, 20, 30, 50).grown(5) == Window(5, 15, 35, 55)
    assert Window(10, 20, 30, 50).grown(-5) == Window(15, 25, 25, 45)


@given(st.floats(1, 40))
def test_at_a_downsample_on_the_stride_pieces_begin_on_whole_pixels(downsample: float) -> None:
    near = on_stride(downsample)
    assert (near * STRIDE_PX).is_integer()
    assert near >= 1
    assert abs(near - downsample) <= SAME_SCALE * downsample
    assert on_stride(near) == near
