import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.annotations import Polygons, Ragged

rows = st.lists(st.lists(st.integers(0, 99), max_size=4), min_size=1, max_size=6)


def ragged(lists):
    return Ragged.of([np.array(one, np.uint32) for one in lists], np.zeros(0, np.uint32))


def lists_of(table):
    return [table[row].tolist() for row in range(len(table))]


@given(rows, st.data())
def test_taken_rows_come_in_the_order_that_was_asked(lists, data):
    wanted = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    taken = ragged(lists).take(np.array(wanted, np.intp))

    assert lists_of(taken) == [lists[row] for row in wanted]
    assert taken.values.dtype == np.uint32


@given(rows, st.data())
def test_a_mask_takes_the_rows_that_it_marks(lists, data):
    mask = data.draw(st.lists(st.booleans(), min_size=len(lists), max_size=len(lists)))
    taken = ragged(lists).take(np.array(mask, bool))

    assert lists_of(taken) == [row for row, kept in zip(lists, mask, strict=True) if kept]


def test_rings_stay_pairs_of_points_when_taken():
    rings = Polygons.of_rings([np.zeros((0, 2)), np.array([[1.0, 2], [3, 4], [5, 6]])])
    taken = rings.take(np.array([1, 0, 1]))

    assert isinstance(taken, Polygons)
    assert taken[2].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert taken[1].shape == (0, 2)
