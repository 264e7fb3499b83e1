import numpy as np
import pytest

from models.metrics.bootstrap import difference_interval, froc_interval, slide_weights, strata_of
from models.metrics.froc import Evidence
from models.metrics.settings import EvaluationSettings

SETTINGS = EvaluationSettings(bootstrap=400)


def one_slide_found(share, n_slides=6):
    """Return evidence in which each slide has ten cells and ``share[i]`` of them are found."""
    slide = np.concatenate([np.full(n, i) for i, n in enumerate(share)]).astype(np.int64)
    return Evidence(
        np.linspace(1, 0.5, len(slide)), slide, np.ones(len(slide), bool),
        np.full(n_slides, 10.0), np.ones(n_slides),
    )  # fmt: skip


def test_slides_of_a_kind_stand_for_each_other():
    n_truth, n_images = np.array([0, 3, 0, 9.0]), np.array([0, 0, 2, 1.0])
    assert strata_of(n_truth, n_images).tolist() == [0, 2, 1, 3]


def test_every_resample_holds_as_many_slides_of_each_stratum_as_the_data():
    strata = np.array([0, 1, 0, 1, 1, 0, 0])
    weights = slide_weights(strata, 50, np.random.default_rng(0))
    assert weights.shape == (50, 7)
    assert (weights[:, strata == 0].sum(axis=1) == 4).all()
    assert (weights[:, strata == 1].sum(axis=1) == 3).all()
    assert len(np.unique(weights, axis=0)) > 20


def test_the_interval_covers_the_mean_of_slides_that_differ():
    one = one_slide_found([2, 4, 6, 8, 10, 0])
    low, high = froc_interval(one, SETTINGS, seed=0) or (0, 0)
    resampled = [
        np.random.default_rng(i).choice([0.2, 0.4, 0.6, 0.8, 1.0, 0.0], 6).mean()
        for i in range(4000)
    ]
    assert low == pytest.approx(np.quantile(resampled, 0.025), abs=0.05)
    assert high == pytest.approx(np.quantile(resampled, 0.975), abs=0.05)


def test_equal_slides_give_an_interval_without_width():
    assert froc_interval(one_slide_found([5] * 6), SETTINGS, seed=0) == (0.5, 0.5)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    one = one_slide_found([1, 4, 6, 8, 10, 3])
    assert froc_interval(one, SETTINGS, 1) == froc_interval(one, SETTINGS, 1)
    few = EvaluationSettings(bootstrap=7)
    assert froc_interval(one, few, 1) != froc_interval(one, few, 2)


def test_one_annotated_slide_gives_no_interval():
    one = one_slide_found([5, 0])
    alone = Evidence(one.scores, one.slide, one.hit, np.array([10.0, 0]), np.ones(2))
    assert froc_interval(alone, SETTINGS, 0) is None
    assert difference_interval(alone, alone, SETTINGS, 0) is None


def test_no_resamples_give_no_interval():
    assert froc_interval(one_slide_found([5] * 6), EvaluationSettings(bootstrap=0), 0) is None


def test_a_paired_difference_leaves_out_what_both_share():
    # Slides differ widely, but the second always finds exactly one cell more.
    few, more = one_slide_found([1, 3, 5, 7, 9, 2]), one_slide_found([2, 4, 6, 8, 10, 3])
    low, high = difference_interval(more, few, SETTINGS, seed=0) or (0, 0)
    assert [low, high] == pytest.approx([0.1, 0.1])


def test_a_paired_difference_refuses_other_slides():
    other = one_slide_found([1] * 5, n_slides=5)
    with pytest.raises(ValueError, match="same slides"):
        difference_interval(one_slide_found([1] * 6), other, SETTINGS, 0)
