import numpy as np
import pytest

from models.merging.identity import one_to_one, pixel_overlaps


def test_overlap_is_shared_pixels_over_all_pixels():
    first = np.array([[1, 1, 1, 0, 4]])
    second = np.array([[0, 7, 7, 7, 0]])
    found = pixel_overlaps(first, second)

    assert (found.first.tolist(), found.second.tolist()) == ([1], [7])
    assert found.iou == pytest.approx([2 / 4])


def test_masks_without_cells_share_nothing():
    empty = np.zeros((3, 3), np.uint32)

    assert len(pixel_overlaps(empty, empty).iou) == 0


def test_the_largest_overlap_is_served_first_and_each_cell_once():
    first = np.array([[1, 1, 1, 1, 2, 2]])
    second = np.array([[5, 5, 5, 6, 6, 6]])
    # 1-5: 3/4, 2-6: 2/3, 1-6: 1/6.
    pairs = pixel_overlaps(first, second)

    assert one_to_one(pairs.above(0.1)) == {1: 5, 2: 6}
    assert one_to_one(pairs.above(0.7)) == {1: 5}


def test_equal_overlaps_are_served_by_id():
    first = np.array([[2, 3]])
    second = np.array([[9, 9]])

    assert one_to_one(pixel_overlaps(first, second).above(0.3)) == {2: 9}
