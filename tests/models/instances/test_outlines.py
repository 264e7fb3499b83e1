import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.instances.outlines import boxes_of, outline

SMALL_MAPS = hnp.arrays(
    np.uint32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)
)


def ids(*values):
    return np.array(values, np.uint32)


def signed_area(ring):
    x, y = ring.T
    return (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2


def largest_part_without_holes(mask):
    """The pixels that an outline encloses, found by flooding from outside."""
    n_parts, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    filled = []
    for part in range(1, n_parts):
        outside = np.pad((parts != part).astype(np.uint8), 1, constant_values=1)
        around = cv2.connectedComponents(outside, connectivity=4)[1]
        filled.append(around[1:-1, 1:-1] != around[0, 0])
    return max(filled, key=np.sum)


def test_one_pixel_has_the_outline_of_its_four_corners():
    cells = np.zeros((4, 5), np.uint32)
    cells[2, 3] = 1
    ring = outline(cells, ids(1))[0]
    assert {tuple(point) for point in ring} == {(3, 2), (4, 2), (4, 3), (3, 3)}
    assert len(ring) == 4
    np.testing.assert_array_equal(boxes_of(cells, 1), [[3, 2, 4, 3]])


def test_an_l_has_six_corners_and_the_area_of_its_pixels():
    cells = np.array([[1, 0], [1, 0], [1, 1]], np.uint32)
    ring = outline(cells, ids(1))[0]
    assert len(ring) == 6
    assert abs(signed_area(ring)) == 4


def test_of_two_parts_the_one_of_more_pixels_is_outlined():
    rows = [[1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 0, 1, 0, 0], [0, 1, 0, 1, 0]]
    cells = np.array(rows, np.uint32)
    assert abs(signed_area(outline(cells, ids(1))[0])) == 4


@given(SMALL_MAPS)
def test_an_outline_encloses_exactly_the_pixels_of_the_largest_part(cells):
    if not (cells == 1).any():
        return
    ring = outline(cells, ids(1))[0]
    assert abs(signed_area(ring)) == largest_part_without_holes(cells == 1).sum()
    steps = np.roll(ring, -1, axis=0) - ring
    assert ((steps != 0).sum(axis=1) == 1).all()


@given(SMALL_MAPS)
def test_the_box_of_a_connected_cell_is_the_box_of_its_outline(cells):
    present = ids(*np.unique(cells[cells > 0]))
    boxes = boxes_of(cells, 2)
    for cell, ring in zip(present, (outline(cells, present)[i] for i in range(2)), strict=False):
        if cv2.connectedComponents((cells == cell).astype(np.uint8), connectivity=8)[0] == 2:
            assert tuple(boxes[cell - 1]) == (*ring.min(axis=0), *ring.max(axis=0))


@given(SMALL_MAPS)
def test_boxes_hold_every_pixel_and_no_empty_border(cells):
    for cell, box in enumerate(boxes_of(cells, 3), start=1):
        y, x = np.nonzero(cells == cell)
        tight = (x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else (0, 0, 0, 0)
        assert tuple(box) == tight


def test_outlines_come_in_the_order_asked_and_empty_for_ids_without_pixels():
    cells = np.array([[1, 0, 7]], np.uint32)
    found = outline(cells, ids(7, 3, 1, 9))
    assert [len(found[row]) for row in range(4)] == [4, 0, 4, 0]
    assert found[0].min(axis=0).tolist() == [2, 0]
    assert found[2].min(axis=0).tolist() == [0, 0]


def test_without_cells_there_are_no_outlines_and_no_boxes():
    cells = np.zeros((3, 3), np.uint32)
    assert len(outline(cells, ids())) == 0
    assert outline(cells, ids()).values.shape == (0, 2)
    assert boxes_of(cells, 0).shape == (0, 4)
