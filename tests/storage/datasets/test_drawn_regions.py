import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import AnnotationError, WrongUseError
from models.geometry.tiles import Window
from storage.datasets.drawn import Drawn
from storage.datasets.drawn_regions import RegionNames, Statement, region_of

SIZE = (1000, 800)
COMPLETE, ANNOTATED, NEGATIVE = Statement.COMPLETE, Statement.ANNOTATED, Statement.NEGATIVE


def rectangle(x0, y0, x1, y1):
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def drawn(*rings, **how):
    return Drawn("r", "annotated", "", tuple(np.array(ring, float) for ring in rings), **how)


@pytest.mark.parametrize(
    ("class_name", "statement"),
    [
        ("completely annotated", COMPLETE), ("Complete", COMPLETE),
        ("COMPLETELY_ANNOTATED", COMPLETE),
        ("annotated", ANNOTATED), ("Partly-annotated*", ANNOTATED), ("Region positive", ANNOTATED),
        ("negative", NEGATIVE), ("Region Negative", NEGATIVE), ("unlabelled", Statement.UNLABELLED),
        ("Tumor: Negative", None), ("Region*", None), ("Tumor", None), ("", None),
    ],
)  # fmt: skip
def test_the_class_says_what_a_region_is(class_name, statement):
    assert RegionNames().statement(class_name, "") is statement


def test_the_name_counts_where_the_class_says_nothing():
    names = RegionNames()
    assert names.statement("", "complete") is COMPLETE
    assert names.statement("Region*", "negative") is NEGATIVE
    assert names.statement("Tumor", "negative") is None
    assert names.statement("annotated", "negative") is ANNOTATED


def test_names_of_ones_own_take_the_place_of_the_usual_ones():
    names = RegionNames({NEGATIVE: ["healthy", "normal"]})
    assert names.statement("Healthy", "") is NEGATIVE
    assert names.statement("negative", "") is None
    assert names.statement("annotated", "") is ANNOTATED


def test_one_name_cannot_say_two_things():
    with pytest.raises(WrongUseError, match="'positive' is to mean annotated and negative"):
        RegionNames({NEGATIVE: ["positive"]})


@pytest.mark.parametrize(
    "ring",
    [
        rectangle(10, 20, 110, 220),
        rectangle(10, 20, 110, 220)[::-1],
        rectangle(10, 20, 110, 220)[2:] + rectangle(10, 20, 110, 220)[:2],
        rectangle(10.03, 19.97, 110.04, 220.02),
        rectangle(9.2, 19.3, 110.8, 220.9),
        # A point along a side, and one twice.
        [[10, 20], [50, 20], [110, 20], [110, 220], [110, 220], [10, 220]],
    ],
)
def test_a_rectangle_is_the_whole_pixels_in_it(ring):
    for statement in Statement:
        region = region_of(drawn(ring), statement, SIZE)
        assert (region.window, region.is_enclosing) == (Window(10, 20, 110, 220), False)


NO_RECTANGLES = [
    [[10, 20], [110, 20], [110, 220], [60, 240], [10, 220]],
    [[10, 120], [60, 20], [110, 120], [60, 220]],
    [[10, 20], [110, 20], [110, 220]],
    # All four corners, and a bite out of one side.
    [[10, 20], [110, 20], [110, 220], [60, 220], [60, 100], [50, 220], [10, 220]],
    # All four corners, crosswise.
    [[10, 20], [110, 220], [110, 20], [10, 220]],
]


@pytest.mark.parametrize("ring", NO_RECTANGLES)
@pytest.mark.parametrize("statement", [COMPLETE, NEGATIVE])
def test_a_statement_on_all_tissue_must_be_a_rectangle(ring, statement):
    with pytest.raises(AnnotationError, match=f"a region that is {statement} must be an upright"):
        region_of(drawn(ring), statement, SIZE)


@pytest.mark.parametrize("ring", NO_RECTANGLES)
def test_of_partly_annotated_tissue_the_rectangle_around_is_taken(ring):
    region = region_of(drawn(ring), ANNOTATED, SIZE)
    assert region.is_enclosing
    low, high = np.min(ring, axis=0), np.max(ring, axis=0)
    assert region.window == Window(*map(int, (*low, *high)))


def test_the_rectangle_around_holds_all_of_the_outline():
    ring = [[10.4, 120], [60, 20.3], [110.2, 120], [60, 220.9]]
    assert region_of(drawn(ring), ANNOTATED, SIZE).window == Window(10, 20, 111, 221)


def test_ellipses_parts_and_holes_make_no_rectangle():
    ring = rectangle(10, 20, 110, 220)
    for one in (drawn(ring, is_ellipse=True), drawn(ring, ring), drawn(ring, has_holes=True)):
        assert region_of(one, ANNOTATED, SIZE).is_enclosing
        with pytest.raises(AnnotationError, match="must be an upright rectangle"):
            region_of(one, NEGATIVE, SIZE)


def test_a_region_ends_where_the_slide_ends():
    region = region_of(drawn(rectangle(-30, -20, 300, 900)), ANNOTATED, SIZE)
    assert region.window == Window(0, 0, 300, 800)


@pytest.mark.parametrize(
    "corners", [(990, 0, 1200, 100), (2000, 2000, 2100, 2100), (-300, 0, 100, 100)]
)
def test_a_region_that_lies_mostly_off_the_slide_is_of_another_one(corners):
    with pytest.raises(AnnotationError, match="mostly outside the slide of 1000 x 800 px"):
        region_of(drawn(rectangle(*corners)), ANNOTATED, SIZE)


def test_a_region_as_small_as_a_cell_is_refused_with_its_class():
    with pytest.raises(AnnotationError, match=r"20 x 100 px, expected at least 64.*'annotated'"):
        region_of(drawn(rectangle(0, 0, 20, 100)), ANNOTATED, SIZE)


@given(
    st.integers(0, 900), st.integers(0, 700), st.integers(65, 100), st.integers(65, 100),
    st.integers(-4, 4),
)  # fmt: skip
def test_a_window_drawn_as_a_rectangle_comes_back(x0, y0, width, height, rounding):
    corners = np.array([x0, y0, x0 + width, y0 + height]) + rounding / 100
    window = region_of(drawn(rectangle(*corners)), NEGATIVE, SIZE).window
    assert window == Window(x0, y0, x0 + width, y0 + height)
