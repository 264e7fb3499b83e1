import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.annotations import Polygons
from models.geometry.tiles import Window
from models.instances.find import Instances
from models.merging.stitching import Stitcher, reaching_out

LEFT, RIGHT = Window(0, 0, 100, 100), Window(100, 0, 200, 100)
MARGIN = 40


def square(x, y=50, side=20):
    """Return a box around a place; sides are even, so that it lies on pixels."""
    return x - side // 2, y - side // 2, x + side // 2, y + side // 2


def seen(boxes, core):
    """Return what a block says that sees rectangular cells, and the place of its corner."""
    x0, y0 = core.x0 - MARGIN, core.y0 - MARGIN
    cells = np.zeros((core.height + 2 * MARGIN, core.width + 2 * MARGIN), np.uint32)
    own = np.array(boxes, np.float64).reshape(-1, 4) - (x0, y0, x0, y0)
    for number, (left, top, right, bottom) in enumerate(own.astype(int).tolist()):
        cells[top:bottom, left:right] = number + 1
    return Instances(cells, own, np.ones(len(own)), Polygons.none(len(own))), (y0, x0)


def looked(stitcher, boxes, core):
    """Return which of the boxes a stitcher takes."""
    block, corner = seen(boxes, core)
    return stitcher.new(block, corner, core).tolist()


def stitched(left, right, tolerance_px=8):
    stitcher = Stitcher(tolerance_px)
    return [looked(stitcher, boxes, core) for core, boxes in ((LEFT, left), (RIGHT, right))]


def test_a_cell_inside_one_core_belongs_to_that_block():
    left, right = [square(30), square(120)], [square(80), square(170)]
    assert stitched(left, right) == [[True, False], [False, True]]


def test_a_cell_on_the_border_is_taken_once():
    assert stitched([square(99)], [square(99)]) == [[True], [False]]


def test_a_cell_that_each_block_sees_in_the_other_is_taken_once():
    # By cores alone both would drop it: 102 is outside the left one, 98 outside the right one.
    assert stitched([square(102)], [square(98)]) == [[True], [False]]


def test_a_cell_that_each_block_sees_in_its_own_core_is_taken_once():
    assert stitched([square(98)], [square(102)]) == [[True], [False]]


def test_a_cell_that_only_the_second_block_sees_near_the_border_is_taken():
    assert stitched([], [square(97)]) == [[], [True]]


def test_neighbours_that_touch_across_the_border_are_two_cells():
    assert stitched([square(96, side=8)], [square(104, side=8)]) == [[True], [True]]


def test_a_cell_that_the_second_block_sees_in_two_halves_is_taken_once():
    # Their boxes overlap the whole one by an IoU of only half.
    whole, halves = [(84, 40, 116, 60)], [(84, 40, 100, 60), (100, 40, 116, 60)]
    assert stitched(whole, halves) == [[True], [False, False]]


def test_a_small_cell_in_the_box_of_a_crooked_one_is_a_cell():
    first, corner = seen([(90, 30, 110, 60)], LEFT)
    hook = first.cells.copy()
    y, x = 40 - corner[0], 100 - corner[1]
    hook[y : y + 20, x : x + 10] = 0  # the lower right quarter is free
    stitcher = Stitcher(8)
    crooked = Instances(hook, first.boxes, first.scores, first.polygons)
    assert stitcher.new(crooked, corner, LEFT).tolist() == [True]
    assert looked(stitcher, [(100, 42, 108, 58)], RIGHT) == [True]


def test_cells_of_one_block_never_hide_each_other():
    assert stitched([square(92, side=8), square(100, side=8)], []) == [[True, True], []]


@given(
    st.lists(
        st.tuples(st.integers(4, 16), st.integers(0, 11), st.integers(0, 11)),
        min_size=1, max_size=12, unique_by=lambda one: one[1:],
    ),
    st.integers(0, 1),
)  # fmt: skip
def test_cells_on_any_place_are_found_once_however_they_tremble(cells, tremble):
    # Cells of at most 32 px on a grid of 40, seen from every block a little differently.
    truth = [square(40 * x + 21, 40 * y + 19, 2 * half) for half, x, y in cells]
    stitcher = Stitcher(tolerance_px=8)
    n_found = 0
    for number, x0 in enumerate(range(0, 480, 160)):
        for y0 in range(0, 480, 160):
            core = Window(x0, y0, x0 + 160, y0 + 160)
            window = core.grown(MARGIN)
            inside = [box for box in truth if window.contains(np.reshape(box, (2, 2))).all()]
            shift = np.array(tremble * (-1) ** number)
            shown = [np.clip(box + shift, 0, 480) for box in np.array(inside).reshape(-1, 4)]
            within = [box for box in shown if window.contains(np.reshape(box, (2, 2))).all()]
            n_found += sum(looked(stitcher, within, core))
    assert n_found == len(truth)


def test_what_was_kept_is_remembered_near_borders_only():
    stitcher = Stitcher(tolerance_px=8)
    block, corner = seen([square(50), square(95), square(80, side=40)], LEFT)
    stitcher.new(block, corner, LEFT)
    assert len(stitcher._boxes) == len(stitcher._masks) == 2


@given(st.sets(st.tuples(st.integers(0, 10), st.integers(0, 22)), min_size=1), st.integers(0, 1))
def test_what_no_later_block_can_see_is_forgotten_and_changes_nothing(places, tremble):
    # Half of the cells lie on a border between cores.
    all_kept, forgetting = Stitcher(8), Stitcher(8, reach_px=MARGIN)
    truth = np.array([square(40 * x + 40, 40 * y + 40) for x, y in sorted(places)])
    for number, y0 in enumerate(range(0, 960, 80)):
        for x0 in range(0, 480, 160):
            core = Window(x0, y0, x0 + 160, y0 + 80)
            shown = [box + tremble * (-1) ** number for box in truth]
            seen_whole = core.grown(MARGIN)
            inside = [box for box in shown if seen_whole.contains(box.reshape(2, 2)).all()]
            assert looked(forgetting, inside, core) == looked(all_kept, inside, core)
    assert (forgetting._boxes[:, 3] > 880 - MARGIN).all()
    assert len(forgetting._boxes) == len(forgetting._masks)


def test_a_block_without_cells_is_nothing_special():
    assert looked(Stitcher(8), [], LEFT) == []


@pytest.mark.parametrize(
    ("box", "reaches_out"),
    [
        ((150, 150, 170, 170), False),
        ((150, 90, 170, 300), True),  # to the lower side of what was seen
        ((150, 260, 170, 300), False),  # there too, but not from the core
        ((0, 120, 130, 140), False),  # the slide ends there
    ],
)
def test_a_cell_of_the_core_reaches_out_where_it_meets_the_end_of_what_was_seen(box, reaches_out):
    seen_window, core = Window(0, 60, 300, 300), Window(50, 100, 250, 250)
    found = np.array([box], np.float64) - (0, 60, 0, 60)
    out = reaching_out(found, seen_window, core, Window(0, 0, 1000, 1000))
    assert out.tolist() == [reaches_out]
