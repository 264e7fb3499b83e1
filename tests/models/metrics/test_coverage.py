import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.metrics.coverage import covered, union_inside
from models.metrics.pairs import Boxes


def boxes(*rows):
    xyxy = np.array(rows, np.float64).reshape(-1, 4)
    return Boxes(xyxy, np.zeros(len(xyxy), np.int64))


corner, side = st.integers(0, 20), st.integers(1, 15)
rectangles = st.tuples(corner, corner, side, side).map(
    lambda r: (r[0], r[1], r[0] + r[2], r[1] + r[3])
)


def pixels_covered(box, others):
    canvas = np.zeros((40, 40), bool)
    for x0, y0, x1, y1 in others:
        canvas[y0:y1, x0:x1] = True
    return int(canvas[box[1] : box[3], box[0] : box[2]].sum())


@settings(max_examples=200, deadline=None)
@given(rectangles, st.lists(rectangles, min_size=1, max_size=8))
def test_the_union_equals_counting_pixels(box, others):
    area = union_inside(np.array(box, float), np.array(others, float))
    assert area == pytest.approx(pixels_covered(box, others))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(rectangles, min_size=1, max_size=5),
    st.lists(rectangles, max_size=8),
    st.sampled_from([0.1, 0.3, 0.7, 1.0]),
)
def test_covered_cells_equal_counting_pixels(cells, others, share):
    expected = [
        pixels_covered(box, others) / ((box[2] - box[0]) * (box[3] - box[1])) >= share
        for box in cells
    ]
    assert covered(boxes(*cells), boxes(*others), share).tolist() == expected


def test_fragments_cover_together_what_none_covers_alone():
    cell = boxes([0, 0, 10, 10])
    fragments = boxes([0, 0, 10, 2], [0, 4, 10, 6])
    assert covered(cell, fragments, 0.4).tolist() == [True]
    assert covered(cell, fragments, 0.41).tolist() == [False]


def test_the_same_place_is_not_counted_twice():
    assert covered(boxes([0, 0, 10, 10]), boxes(*[[0, 0, 10, 2]] * 3), 0.3).tolist() == [False]


def test_detections_of_another_image_cover_nothing():
    elsewhere = Boxes(np.array([[0.0, 0, 10, 10]]), np.ones(1, np.int64))
    assert covered(boxes([0, 0, 10, 10]), elsewhere, 0.3).tolist() == [False]
