import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.geometry.tiles import Window
from models.merging.stitching import Stitcher

LEFT, RIGHT = Window(0, 0, 100, 100), Window(100, 0, 200, 100)


def box(x, y=50.0, side=20.0):
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def stitched(left, right, tolerance_px=8):
    stitcher = Stitcher(tolerance_px)
    cores = ((LEFT, left), (RIGHT, right))
    return [stitcher.new(np.array(rows).reshape(-1, 4), core).tolist() for core, rows in cores]


def test_a_cell_inside_one_core_belongs_to_that_block():
    assert stitched([box(30), box(150)], [box(30), box(150)]) == [[True, False], [False, True]]


def test_a_cell_on_the_border_is_taken_once():
    assert stitched([box(99.5)], [box(99.5)]) == [[True], [False]]


def test_a_cell_that_each_block_sees_in_the_other_is_taken_once():
    # By cores alone both would drop it: 101 is outside the left one, 99 outside the right one.
    assert stitched([box(101)], [box(99)]) == [[True], [False]]


def test_a_cell_that_each_block_sees_in_its_own_core_is_taken_once():
    assert stitched([box(99)], [box(101)]) == [[True], [False]]


def test_a_cell_that_only_the_second_block_sees_near_the_border_is_taken():
    assert stitched([], [box(97)]) == [[], [True]]


def test_neighbours_that_touch_across_the_border_are_two_cells():
    assert stitched([box(96, side=8)], [box(104, side=8)]) == [[True], [True]]


def test_cells_of_one_block_never_hide_each_other():
    assert stitched([box(98), box(99)], []) == [[True, True], []]


@given(
    st.lists(
        st.tuples(st.integers(4, 36), st.integers(0, 11), st.integers(0, 11)),
        min_size=1, max_size=12, unique_by=lambda one: one[1:],
    ),
    st.integers(0, 3),
)  # fmt: skip
def test_cells_on_any_place_are_found_once_however_they_tremble(cells, tremble):
    # Cells of at most 36 px on a grid of 40, seen from every block a little differently.
    truth = np.array([box(40 * x + 21, 40 * y + 19, side) for side, x, y in cells], float)
    stitcher = Stitcher(tolerance_px=8)
    n_found = 0
    for number, x0 in enumerate(range(0, 480, 160)):
        for y0 in range(0, 480, 160):
            core = Window(x0, y0, x0 + 160, y0 + 160)
            shift = 0.25 * tremble * (-1) ** number
            n_found += int(stitcher.new(truth + shift, core).sum())
    assert n_found == len(truth)


def test_what_was_kept_is_remembered_near_borders_only():
    stitcher = Stitcher(tolerance_px=8)
    stitcher.new(np.array([box(50), box(95)]), LEFT)
    assert len(stitcher._near_borders) == 1


def test_a_block_without_cells_is_nothing_special():
    assert Stitcher(8).new(np.zeros((0, 4)), LEFT).shape == (0,)
