import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import AnnotationError
from models.geometry.rings import is_simple
from storage.datasets import drawn
from storage.datasets.drawn import Drawn, cell_of

SIZE = (100, 80)
SQUARE = np.array([[10.0, 10], [20, 10], [20, 20], [10, 20]])


def moved(x, y):
    return SQUARE + np.array([x, y])


def outline(*rings, **how):
    return Drawn("a", "SRC", "", tuple(np.array(ring, float) for ring in rings), **how)


def test_an_outline_is_kept_as_it_was_drawn():
    cell = cell_of(outline(moved(0.123456789, 0)), SIZE)
    assert cell.ring.tolist() == moved(0.123456789, 0).tolist()
    assert cell.box.tolist() == [10.123456789, 10, 20.123456789, 20]
    assert cell.flaw == ""


def test_points_that_repeat_the_one_before_say_nothing():
    cell = cell_of(outline(SQUARE[[0, 0, 1, 2, 2, 3]]), SIZE)
    assert cell.ring.tolist() == SQUARE.tolist()
    assert cell.flaw == ""


def test_of_an_ellipse_the_box_is_all():
    cell = cell_of(outline(SQUARE, is_ellipse=True), SIZE)
    assert (cell.box.tolist(), len(cell.ring), cell.flaw) == ([10, 10, 20, 20], 0, "")


@pytest.mark.parametrize(
    "ring", [SQUARE[[0, 2, 1, 3]], [[10, 10], [20, 10], [15, 15], [20, 20], [10, 20], [15, 15]]]
)
def test_an_outline_that_meets_itself_is_left_out_and_its_box_stays(ring):
    cell = cell_of(outline(ring), SIZE)
    assert (cell.box.tolist(), len(cell.ring)) == ([10, 10, 20, 20], 0)
    assert "cross or touch" in cell.flaw


def test_an_outline_is_the_same_but_for_what_programs_do_when_they_save_it():
    drawn_anew = outline(np.round(np.roll(SQUARE, 1, axis=0)[::-1] + 0.004, 2))
    assert drawn_anew.runs_along(SQUARE, 0.05)
    assert not drawn_anew.runs_along(moved(0, 0.1), 0.05)
    assert not outline(SQUARE, SQUARE).runs_along(SQUARE, 0.05)
    assert not outline(SQUARE).runs_along(SQUARE[:0], 0.05)


def test_an_ellipse_is_the_same_if_its_box_is():
    rough = outline([[10, 15], [15, 10], [20, 15], [15, 20]], is_ellipse=True)
    assert rough.runs_along(SQUARE, 0.05)
    assert not rough.runs_along(moved(0.1, 0), 0.05)
    assert not outline(*rough.parts).runs_along(SQUARE, 0.05)


def test_holes_are_filled():
    cell = cell_of(outline(SQUARE, has_holes=True), SIZE)
    assert cell.ring.tolist() == SQUARE.tolist()
    assert "holes" in cell.flaw


def test_an_outline_of_too_many_points_is_left_out(monkeypatch):
    monkeypatch.setattr(drawn, "MAXIMUM_OUTLINE_POINTS", 3)
    cell = cell_of(outline(SQUARE), SIZE)
    assert (cell.box.tolist(), len(cell.ring)) == ([10, 10, 20, 20], 0)
    assert "more than 3 points" in cell.flaw


def test_what_rounding_moved_out_of_the_slide_is_cut():
    cell = cell_of(outline([[-0.4, 0], [100.9, 0], [50, 80.5]]), SIZE)
    assert cell.box.tolist() == [0, 0, 100, 80]
    assert cell.ring.tolist() == [[0, 0], [100, 0], [50, 80]]


@pytest.mark.parametrize(
    ("reason", "rings"),
    [
        ("2 separate parts", [SQUARE, SQUARE + 30]),
        ("no area", [[[1, 1], [5, 1], [3, 1]]]),
        ("no area", [[[1, 1], [1, 1], [1, 1]]]),
        ("reaches out of the slide of 100 x 80 px", [moved(85, 0)]),
        ("reaches out of the slide", [moved(0, 300)]),
        ("reaches out of the slide", [SQUARE - 12]),
    ],
)
def test_what_is_no_single_area_on_the_slide_is_refused(reason, rings):
    with pytest.raises(AnnotationError, match=reason):
        cell_of(outline(*rings), SIZE)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 80)), min_size=3, max_size=8))
def test_every_cell_has_its_whole_outline_or_none(points):
    try:
        cell = cell_of(outline(points), SIZE)
    except AnnotationError:
        return
    assert cell.box.tolist() == [*np.min(points, axis=0), *np.max(points, axis=0)]
    assert (len(cell.ring) == 0) == bool(cell.flaw)
    assert len(cell.ring) == 0 or is_simple(cell.ring)
