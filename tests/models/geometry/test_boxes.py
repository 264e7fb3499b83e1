import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.geometry.boxes import areas, centres, clip, overlaps

sets_of_boxes = st.integers(0, 12).flatmap(
    lambda n: arrays(np.float64, (n, 4), elements=st.integers(0, 20).map(float)).map(
        lambda b: np.concatenate([b[:, :2], b[:, :2] + 1 + b[:, 2:]], axis=1)
    )
)


def brute_force(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def test_two_boxes_that_share_a_third_have_that_iou():
    found = overlaps(np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 15, 10]]))

    assert found.iou == pytest.approx([1 / 3])


@given(sets_of_boxes, sets_of_boxes)
def test_overlaps_equal_a_comparison_of_all_pairs(first, second):
    found = overlaps(first, second, 0.1)
    expected = [
        (i, j, iou)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if (iou := brute_force(a, b)) > 0.1
    ]

    pairs = list(zip(found.rows.tolist(), found.columns.tolist(), strict=True))
    assert pairs == [(i, j) for i, j, _ in expected]
    assert found.iou == pytest.approx([iou for _, _, iou in expected])


def test_a_clipped_box_keeps_what_is_inside_and_one_outside_has_no_area():
    clipped = clip(np.array([[-5.0, 2, 5, 8], [30, 30, 40, 40]]), (0, 0, 20, 20))

    assert clipped[0].tolist() == [0, 2, 5, 8]
    assert areas(clipped).tolist() == [30, 0]


def test_an_inverted_box_has_no_area():
    assert areas(np.array([[5.0, 5, 1, 1]])).tolist() == [0]


def test_the_centre_is_halfway():
    assert centres(np.array([[0.0, 10, 4, 20]])).tolist() == [[2, 15]]
