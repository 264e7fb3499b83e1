from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.geometry.rings import (
    ellipse_ring,
    is_simple,
    ring_area,
    run_along,
    untouching,
    without_repeats,
)


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


def test_points_that_repeat_the_one_before_go_and_the_closing_one_too():
    stuttering = SQUARE[[0, 0, 1, 2, 2, 2, 3, 0]]

    assert sorted(without_repeats(stuttering).tolist()) == sorted(SQUARE.tolist())
    assert without_repeats(SQUARE).tolist() == SQUARE.tolist()
    assert without_repeats(SQUARE[[0, 0, 0]]).tolist() == SQUARE[:1].tolist()
    assert without_repeats(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(
    "points",
    [
        SQUARE,
        SQUARE[:3],
        ring((0, 0), (4, 0), (1, 1), (0, 4)),
        # Points along a straight side, and two sides on one line.
        ring((0, 0), (1, 0), (2, 0), (2, 1), (3, 1), (3, 0), (4, 0), (4, 4), (0, 4)),
    ],
)
def test_a_ring_that_meets_itself_nowhere_is_simple(points):
    assert is_simple(points)
    assert is_simple(points[::-1])
    assert is_simple(points + np.array([51234.56, 7.89]))


@pytest.mark.parametrize(
    ("why", "points"),
    [
        ("two sides cross", ring((0, 0), (4, 4), (4, 0), (0, 4))),
        ("a point comes twice", ring((0, 0), (4, 0), (2, 2), (4, 4), (0, 4), (2, 2))),
        ("a point lies on a side", ring((0, 0), (4, 0), (4, 4), (2, 0), (0, 4))),
        ("a side folds back", ring((0, 0), (4, 0), (4, 4), (4, 2), (0, 2))),
        ("two sides run along each other", ring((0, 0), (4, 0), (4, 1), (3, 0), (1, 0), (0, 1))),
        ("no area", ring((0, 0), (1, 1), (2, 2))),
        ("too few points", ring((0, 0), (1, 1))),
    ],
)
def test_a_ring_that_meets_itself_is_not_simple(why, points):
    assert not is_simple(points), why
    assert not is_simple(points[::-1]), why


def turn(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def between(a, b, c):
    return all(min(a[k], b[k]) <= c[k] <= max(a[k], b[k]) for k in (0, 1))


def share_a_point(a, b, c, d):
    """Return whether two segments meet, in whole numbers, case by case."""
    turns = turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)
    if (turns[0] > 0) != (turns[1] > 0) and (turns[2] > 0) != (turns[3] > 0) and all(turns):
        return True
    ends = [(a, b, c), (a, b, d), (c, d, a), (c, d, b)]
    return any(t == 0 and between(*end) for t, end in zip(turns, ends, strict=True))


def simple_by_brute_force(points):
    n = len(points)
    if n < 3 or len(set(points)) < n:
        return False
    sides = [(points[i], points[(i + 1) % n]) for i in range(n)]
    for i, j in combinations(range(n), 2):
        if j - i in {1, n - 1}:
            first, second = (i, j) if j - i == 1 else (j, i)
            (a, b), (_, c) = sides[first], sides[second]
            backwards = (a[0] - b[0]) * (c[0] - b[0]) + (a[1] - b[1]) * (c[1] - b[1]) > 0
            if turn(a, b, c) == 0 and backwards:
                return False
        elif share_a_point(*sides[i], *sides[j]):
            return False
    return True


@given(st.lists(st.tuples(*[st.integers(0, 6)] * 2), min_size=3, max_size=9))
def test_simple_is_what_looking_at_every_pair_of_sides_says(points):
    assert is_simple(np.array(points, float)) == simple_by_brute_force(points)


BITTEN = ring((0, 0), (4, 0), (4, 4), (2, 1), (0, 4))


def test_rings_run_along_each_other_whatever_their_points():
    between = ring((4, 4), (4, 2), (4, 0), (2, 0), (1, 0), (0, 0), (0, 4))
    assert run_along(SQUARE, between, 1e-9)
    assert run_along(SQUARE, between[::-1] + 0.01, 0.02)
    assert run_along(SQUARE[:0], SQUARE[:0], 0.1)
    assert run_along(SQUARE[[0, 0, 1, 2, 3]], SQUARE, 0.0)


@pytest.mark.parametrize("other", [SQUARE + 0.03, SQUARE * 1.01, BITTEN, SQUARE[:3], SQUARE[:0]])
def test_a_point_off_the_line_of_the_other_is_seen_from_both_sides(other):
    assert not run_along(SQUARE, other, 0.02)
    assert not run_along(other, SQUARE, 0.02)


def test_of_long_outlines_every_point_is_compared():
    angle = 2 * np.pi * np.arange(1000) / 1000
    circle = 90 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    dented = circle.copy()
    dented[700] *= 0.99
    assert run_along(circle, np.roll(circle, 321, axis=0), 1e-9)
    assert not run_along(circle, dented, 0.05)


def test_long_outlines_are_looked_at_in_pieces():
    angle = 2 * np.pi * np.arange(3000) / 3000
    star = (
        np.stack([np.cos(angle), np.sin(angle)], axis=1) * (500 + 100 * np.sin(7 * angle))[:, None]
    )
    comb = np.stack([np.tile([0.0, 900.0], 400), np.arange(800.0)], axis=1)
    comb = np.concatenate([comb, ring((990, 800), (990, -1))])

    assert is_simple(star)
    assert is_simple(comb)  # every side shares the x axis with every other
    star[1500] = star[10]
    comb[400] += (0, 2.5)
    assert not is_simple(star)
    assert not is_simple(comb)
