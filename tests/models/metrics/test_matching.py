import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.annotations import Role
from models.metrics.matching import UNMATCHED, ImageCells, match, match_boxes


def boxes(*rows):
    return np.array(rows, np.float64).reshape(-1, 4)


def iou_of(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + ((b[2] - b[0]) * (b[3] - b[1]) - shared))


def match_by_brute_force(truth, predicted, scores, iou):
    found = [UNMATCHED] * len(predicted)
    for row in sorted(range(len(predicted)), key=lambda i: (-scores[i], i)):
        best, best_iou = UNMATCHED, 0.0
        for cell in range(len(truth)):
            overlap = iou_of(predicted[row], truth[cell])
            if cell not in found and overlap >= iou and overlap > best_iou:
                best, best_iou = cell, overlap
        found[row] = best
    return found


@st.composite
def scenes(draw, most=12):
    def some_boxes():
        corner, side = st.integers(0, 40), st.integers(1, 20)
        row = st.tuples(corner, corner, side, side)
        rows = np.array(draw(st.lists(row, max_size=most)), np.float64).reshape(-1, 4)
        return np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:]]) / 3

    truth, predicted = some_boxes(), some_boxes()
    levels = st.integers(0, 5).map(lambda level: level / 5)
    scores = draw(st.lists(levels, min_size=len(predicted), max_size=len(predicted)))
    return truth, predicted, np.array(scores, np.float64)


@settings(max_examples=300, deadline=None)
@given(scenes(), st.sampled_from([0.1, 0.3, 0.5]))
def test_matching_equals_a_brute_force_version(scene, iou):
    truth, predicted, scores = scene
    found = match_boxes(truth, predicted, scores, iou).tolist()
    assert found == match_by_brute_force(truth, predicted, scores, iou)


@settings(max_examples=60, deadline=None)
@given(st.lists(scenes(5), min_size=1, max_size=5))
def test_matching_many_images_at_once_equals_matching_each_alone(parts):
    images = [ImageCells(str(i), "s", Role.POSITIVE, False, *one) for i, one in enumerate(parts)]
    together = match(images, 0.3)
    offset, alone = 0, []
    for one in images:
        found = match_boxes(one.truth, one.predicted, one.scores, 0.3)
        alone += [cell + offset if cell != UNMATCHED else UNMATCHED for cell in found.tolist()]
        offset += len(one.truth)
    assert together.found.tolist() == alone


def test_each_cell_is_found_once_however_many_detections_lie_on_it():
    found = match_boxes(boxes([0, 0, 10, 10]), boxes(*[[0, 0, 10, 10]] * 3), np.full(3, 0.5), 0.3)
    assert found.tolist() == [0, UNMATCHED, UNMATCHED]


def test_the_surer_detection_chooses_first_and_the_other_takes_the_next_free_cell():
    truth = boxes([0, 0, 10, 10], [4, 0, 14, 10])
    predicted = boxes([1, 0, 11, 10], [0, 0, 10, 10])
    assert match_boxes(truth, predicted, np.array([0.4, 0.9]), 0.3).tolist() == [1, 0]


def test_an_overlap_of_exactly_the_limit_is_a_match():
    truth, predicted = boxes([0, 0, 10, 10]), boxes([0, 0, 10, 3])
    assert match_boxes(truth, predicted, np.ones(1), 0.3).tolist() == [0]
    assert match_boxes(truth, predicted, np.ones(1), 0.31).tolist() == [UNMATCHED]


def test_boxes_at_the_same_place_of_two_images_do_not_match():
    box, none = boxes([0, 0, 10, 10]), boxes()
    images = [
        ImageCells("a", "s", Role.POSITIVE, False, box, none, np.zeros(0)),
        ImageCells("b", "s", Role.POSITIVE, False, none, box, np.ones(1)),
    ]
    assert match(images, 0.3).found.tolist() == [UNMATCHED]


@pytest.mark.parametrize("far", [0.0, 1e6, -1e6])
def test_places_far_from_the_origin_match_like_near_ones(far):
    truth = boxes([0, 0, 10, 10], [30, 0, 40, 10]) + far
    assert match_boxes(truth, truth[::-1].copy(), np.ones(2), 0.99).tolist() == [1, 0]


def test_thousands_of_detections_are_all_matched():
    corner = np.stack(np.meshgrid(np.arange(60.0), np.arange(60.0)), -1).reshape(-1, 2) * 20
    truth = np.hstack([corner, corner + 15])
    found = match_boxes(truth, truth + 1, np.linspace(0, 1, len(truth)), 0.3)
    assert found.tolist() == list(range(3600))
