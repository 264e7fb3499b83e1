"""The annotator marks a fraction of the cells, and skips crowds."""

from __future__ import annotations

import numpy as np
import pytest

from storage.datasets.synthetic.annotate import annotated


def boxes_at(centres):
    half = np.full((len(centres), 2), 15.0)
    return np.hstack([centres - half, centres + half])


@pytest.fixture
def scattered():
    return boxes_at(np.random.default_rng(0).uniform(0, 4000, (1500, 2)))


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.6])
def test_the_rate_is_kept_on_average(scattered, rate):
    marked = annotated(scattered, rate, np.random.default_rng(1))
    assert marked.mean() == pytest.approx(rate, abs=0.04)


def test_the_same_generator_marks_the_same_cells(scattered):
    first, second = (annotated(scattered, 0.3, np.random.default_rng(1)) for _ in range(2))
    assert (first == second).all()


def test_cells_of_a_crowd_are_marked_less_often():
    rng = np.random.default_rng(0)
    crowd = rng.uniform(0, 400, (400, 2))
    alone = np.stack(np.meshgrid(*[np.arange(20) * 120.0 + 2000] * 2), -1).reshape(-1, 2)
    marked = annotated(boxes_at(np.concatenate([crowd, alone])), 0.3, rng)
    assert marked[:400].mean() < 0.5 * marked[400:].mean()


def test_whole_tiles_are_skipped():
    # One lone cell per tile: without skipping, each would be marked with the same probability.
    alone = np.stack(np.meshgrid(*[np.arange(40) * 170.0] * 2), -1).reshape(-1, 2)
    boxes = boxes_at(np.repeat(alone, 3, axis=0))
    marked = annotated(boxes, 0.4, np.random.default_rng(0)).reshape(-1, 3).sum(axis=1)
    independent = np.random.default_rng(0).binomial(3, 0.4, len(marked))
    assert (marked == 0).mean() > 1.5 * (independent == 0).mean()


def test_nothing_is_marked_where_there_is_nothing_or_no_time(scattered):
    assert annotated(np.zeros((0, 4)), 0.3, np.random.default_rng(0)).shape == (0,)
    assert not annotated(scattered, 0.0, np.random.default_rng(0)).any()
