import numpy as np
import pytest

from models.geometry.rings import crosses_itself, ellipse_ring, ring_area, untouching


def ring(*points):
    return np.array(points, float)


SQUARE = ring((0, 0), (4, 0), (4, 4), (0, 4))


def test_the_area_does_not_depend_on_the_way_a_ring_turns():
    assert ring_area(SQUARE) == ring_area(SQUARE[::-1]) == 16


def test_the_ellipse_fills_its_box():
    points = ellipse_ring(np.array([10.0, 20, 30, 60]))

    assert points.min(axis=0) == pytest.approx([10, 20])
    assert points.max(axis=0) == pytest.approx([30, 60])
    assert ring_area(points) == pytest.approx(np.pi * 10 * 20, rel=0.01)


def test_of_two_squares_that_meet_at_a_corner_the_larger_stays():
    # The small square hangs on the large one's corner (4, 4).
    pinched = ring((0, 0), (4, 0), (4, 4), (6, 4), (6, 6), (4, 6), (4, 4), (0, 4))

    assert sorted(untouching(pinched).tolist()) == sorted(SQUARE.tolist())


def test_a_loop_that_begins_the_ring_is_split_off_as_well():
    pinched = ring((4, 4), (6, 4), (6, 6), (4, 6), (4, 4), (0, 4), (0, 0), (4, 0))

    assert sorted(untouching(pinched).tolist()) == sorted(SQUARE.tolist())


def test_a_simple_ring_stays_and_its_closing_point_goes():
    assert untouching(SQUARE).tolist() == SQUARE.tolist()
    assert untouching(np.concatenate([SQUARE, SQUARE[:1]])).tolist() == SQUARE.tolist()


def test_no_points_stay_no_points():
    assert untouching(np.zeros((0, 2))).shape == (0, 2)


def test_a_bow_tie_crosses_itself_and_a_star_shaped_ring_does_not():
    assert crosses_itself(ring((0, 0), (4, 4), (4, 0), (0, 4)))
    assert not crosses_itself(SQUARE)
    assert not crosses_itself(ring((0, 0), (4, 0), (1, 1), (0, 4)))
    assert not crosses_itself(SQUARE[:3])
