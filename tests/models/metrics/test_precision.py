import numpy as np
import pytest

from models.annotations import Role
from models.metrics.matching import ImageCells
from models.metrics.precision import average_precision, cut_at_precision, precision_recall


def image(role=Role.POSITIVE, n_cells=2, hits=(True, False, True)):
    truth = np.array([[20.0 * i, 0, 20 * i + 10, 10] for i in range(n_cells)]).reshape(-1, 4)
    cells = iter(truth)
    predicted = np.array([next(cells) if hit else [500.0, 500, 510, 510] for hit in hits])
    scores = np.linspace(0.9, 0.5, len(hits))
    return ImageCells("a", "s", role, True, truth, predicted.reshape(-1, 4), scores)


def test_average_precision_of_a_case_done_by_hand():
    # Found, false, found of two cells: 1/2 at precision 1 and 1/2 at precision 2/3.
    assert average_precision([image()], 0.3) == pytest.approx((1 + 2 / 3) / 2)


def test_precision_that_rises_later_counts_for_all_recall_before_it():
    # False, found, found of two cells: precision reaches 2/3 at full recall.
    assert average_precision([image(hits=(False, True, True))], 0.3) == pytest.approx(2 / 3)


def test_a_perfect_detector_has_average_precision_one():
    assert average_precision([image(n_cells=3, hits=(True,) * 3)], 0.5) == 1


def test_negative_images_do_not_enter_average_precision():
    empty = image(role=Role.NEGATIVE, n_cells=0, hits=(False, False))
    assert average_precision([image(), empty], 0.3) == average_precision([image()], 0.3)


def test_the_curve_ends_at_the_last_point_of_the_precision():
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    hit = np.array([True, False, True, False])
    assert cut_at_precision(scores, hit, 0.6) == 0.7
    assert cut_at_precision(scores, hit, 0.5) == 0.6


def test_without_such_a_point_nothing_is_left():
    assert cut_at_precision(np.array([0.9]), np.array([False]), 0.2) == float("inf")


def test_a_precision_recall_curve_has_one_point_per_different_score():
    cells = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]])
    wrong = np.array([[0.0, 90, 10, 99], [20, 90, 30, 99]])
    predicted = np.vstack([cells[:3], wrong])
    scores = np.array([0.9, 0.7, 0.7, 0.8, 0.7])
    image = ImageCells("a", "a", Role.POSITIVE, True, cells, predicted, scores)
    curve = precision_recall([image], 0.5)
    np.testing.assert_allclose(curve.scores, [0.9, 0.8, 0.7])
    np.testing.assert_allclose(curve.recall, [0.25, 0.25, 0.75])
    np.testing.assert_allclose(curve.precision, [1, 0.5, 0.6])
    assert curve.ap == pytest.approx(0.25 * 1 + 0.5 * 0.6)
    np.testing.assert_allclose(curve.corners().scores, [0.9, 0.7])


def test_a_precision_recall_curve_of_partial_truth_is_refused():
    nothing = np.zeros((0, 4))
    image = ImageCells("a", "a", Role.POSITIVE, False, nothing, nothing, np.zeros(0))
    with pytest.raises(ValueError, match=r"complete truth.*the first is a"):
        precision_recall([image], 0.5)


def test_the_curve_of_an_image_without_cells_and_detections_is_empty():
    nothing = np.zeros((0, 4))
    image = ImageCells("a", "a", Role.POSITIVE, True, nothing, nothing, np.zeros(0))
    curve = precision_recall([image], 0.5)
    assert len(curve.recall) == len(curve.corners().recall) == 0
    assert curve.ap == 0
