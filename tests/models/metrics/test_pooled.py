from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.annotations import Role
from models.metrics.detection import difference, evaluate
from models.metrics.pooled import pooled, pooled_difference
from models.metrics.settings import EvaluationSettings

PLAIN = EvaluationSettings(bootstrap=0)
DRAWN = EvaluationSettings(bootstrap=60)
SEEDS = st.integers(0, 2**32 - 1)


def folds_of(draw_scene, seed, n_folds=3):
    return [draw_scene([seed, fold], prefix=f"f{fold}") for fold in range(n_folds)]


def other_detector(images, seed):
    rng = np.random.default_rng(seed)
    return [replace(one, scores=rng.permutation(one.scores)) for one in images]


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_of_one_fold_it_is_that_folds_figures_and_interval(draw_scene, seed):
    one = evaluate(draw_scene(seed), DRAWN, seed=5)
    figures = pooled([one], DRAWN, seed=5)
    for name, figure in figures.items():
        assert figure.value == pytest.approx(getattr(one, name))
    if one.froc_interval is None:
        assert figures["froc"].interval is None
    else:
        assert figures["froc"].interval == pytest.approx(one.froc_interval)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_of_one_fold_the_difference_is_the_paired_difference(draw_scene, seed):
    images = draw_scene(seed)
    one = evaluate(images, DRAWN, seed=5)
    other = evaluate(other_detector(images, seed), DRAWN, seed=5)
    figures, expected = pooled_difference([one], [other], DRAWN), difference(one, other, DRAWN)
    assert figures["froc"].value == pytest.approx(expected.froc)
    if expected.interval is not None:
        assert figures["froc"].interval == pytest.approx(expected.interval)


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_cells_and_images_are_added_up_over_the_folds(draw_scene, seed):
    folds = [evaluate(images, PLAIN) for images in folds_of(draw_scene, seed)]
    figures = pooled(folds, PLAIN)
    cells = np.array([one.n_truth for one in folds])
    images = np.array([one.n_negative_images for one in folds])
    for name, weight in (("froc", cells), ("collective_recall", cells), ("fps", images)):
        values = np.array([getattr(one, name) for one in folds])
        assert figures[name].value == pytest.approx((values * weight).sum() / weight.sum())
        assert figures[name].interval is None


def drawn_by_hand(folds, seed, settings):
    """Return the figures of one resample by writing its images down and evaluating them."""
    names = sorted({one.slide for images in folds for one in images})
    kind = []
    for name in names:
        held = [[one for one in images if one.slide == name] for images in folds]
        kind.append(
            tuple(
                len(k) and 1 + 2 * any(len(one.truth) for one in k)
                + any(one.role is Role.NEGATIVE for one in k)
                for k in held
            )
        )  # fmt: skip
    strata = np.array([sorted(set(kind)).index(one) for one in kind])
    rng = np.random.default_rng(seed)
    drawn = np.zeros(len(names), int)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        for pick in rng.integers(0, len(members), (1, len(members)))[0]:
            drawn[members[pick]] += 1
    times = dict(zip(names, drawn.tolist(), strict=True))
    return pooled(
        [
            evaluate([one for one in images for _ in range(times[one.slide])], PLAIN)
            for images in folds
        ],
        PLAIN,
    )


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_a_resample_is_what_evaluating_the_drawn_slides_gives(draw_scene, seed):
    folds = folds_of(draw_scene, seed)
    # A slide in two folds, as in easy splits, is drawn for both of them.
    folds[1].append(replace(folds[0][0], image_id="twice"))
    once = EvaluationSettings(bootstrap=1)
    expected = drawn_by_hand(folds, 3, once)
    figures = pooled([evaluate(images, PLAIN) for images in folds], once, seed=3)
    for name, figure in figures.items():
        assert figure.interval is not None
        assert figure.interval[0] == pytest.approx(expected[name].value)


def test_slides_are_drawn_together_so_a_shared_error_leaves_no_interval(draw_scene):
    folds = [evaluate(images, DRAWN) for images in folds_of(draw_scene, 1)]
    for figure in pooled_difference(folds, folds, DRAWN).values():
        assert figure.value == 0
        assert figure.interval == (0, 0)


def test_different_slides_or_cells_are_no_pair(draw_scene):
    folds = [evaluate(images, PLAIN) for images in folds_of(draw_scene, 1)]
    with pytest.raises(ValueError, match=r"got 3 folds .* and 2 folds"):
        pooled_difference(folds, folds[:2], PLAIN)
    with pytest.raises(ValueError, match="same slides with the same cells"):
        pooled_difference(folds, folds[::-1], PLAIN)


def test_one_annotated_slide_has_no_interval(draw_scene):
    images = [one for one in draw_scene(3) if one.slide == "p0" or one.role is Role.NEGATIVE]
    assert pooled([evaluate(images, DRAWN)], DRAWN)["froc"].interval is None
