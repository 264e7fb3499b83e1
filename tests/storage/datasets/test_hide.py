import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.annotations import Annotations, Polygons
from models.errors import WrongUseError
from storage.datasets.hide import hidden


def cells(n):
    ids = np.array([f"cell {i}" for i in range(n)])
    return Annotations(ids, np.arange(4.0 * n).reshape(n, 4), Polygons.none(n))


@given(st.floats(0, 0.99), st.floats(0, 0.99), st.integers(0, 9))
def test_a_larger_fraction_hides_all_that_a_smaller_one_hides(one, other, seed):
    less, more = (set(hidden(cells(50), f, seed).ids) for f in sorted([one, other]))
    assert more <= less


def test_about_the_fraction_that_was_asked_for_is_hidden():
    assert len(hidden(cells(4000), 0.6, seed=1)) == pytest.approx(1600, abs=100)


def test_hiding_nothing_keeps_every_annotation():
    assert list(hidden(cells(9), 0, seed=0).ids) == list(cells(9).ids)


def test_another_seed_hides_other_annotations():
    kept = {tuple(hidden(cells(40), 0.5, seed).ids) for seed in range(3)}
    assert len(kept) == 3


def test_what_is_hidden_does_not_depend_on_the_other_annotations():
    alone = hidden(cells(100).take(np.arange(50)), 0.5, seed=0)
    together = hidden(cells(100), 0.5, seed=0)
    assert set(alone.ids) == set(together.ids) & set(cells(50).ids)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 7, float("nan")])
def test_a_fraction_out_of_bounds_is_wrong_use(fraction):
    with pytest.raises(WrongUseError, match="expected a fraction from 0"):
        hidden(cells(3), fraction, seed=0)
