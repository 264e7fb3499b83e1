import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.annotations import Role
from models.metrics.detection import evaluate
from models.metrics.groups import by_group
from models.metrics.matching import ImageCells
from models.metrics.settings import EvaluationSettings

PLAIN = EvaluationSettings(bootstrap=0)
SEEDS = st.integers(0, 2**32 - 1)


def image(name, role=Role.POSITIVE, *, cells=4, found=2, false=()):
    truth = np.array([[20.0 * i, 0, 20 * i + 10, 10] for i in range(cells)]).reshape(-1, 4)
    wrong = np.array([[20.0 * i, 900, 20 * i + 10, 910] for i in range(len(false))])
    scores = np.concatenate([np.full(found, 0.5), false])
    predicted = np.vstack([truth[:found], wrong.reshape(-1, 4)])
    return ImageCells(name, name, role, False, truth, predicted, scores)


def test_each_group_has_its_own_recall_and_false_positives():
    images = [
        image("a", found=1), image("b", found=3), image("c", found=4),
        image("n", Role.NEGATIVE, cells=0, found=0, false=[0.9, 0.8, 0.4]),
        image("m", Role.NEGATIVE, cells=0, found=0, false=[0.2]),
    ]  # fmt: skip
    organ = {"a": "colon", "b": "colon", "n": "colon", "c": "stomach", "m": "stomach"}
    colon, stomach = by_group(images, organ, PLAIN).values()
    assert (colon.n_images, colon.n_positive_images, colon.n_negative_images) == (3, 2, 1)
    assert (colon.instance_recall, colon.collective_recall, colon.fps) == (0.5, 0.5, 3)
    assert (stomach.instance_recall, stomach.fps, stomach.n_truth) == (1, 1, 4)
    assert (colon.n_predictions, stomach.n_predictions) == (7, 5)


def test_groups_are_read_at_the_thresholds_of_the_whole_set():
    # One false positive per image over both negative images lets 0.5 in, though stomach has none.
    images = [
        image("a"),
        image("n", Role.NEGATIVE, cells=0, found=0, false=[0.9, 0.8]),
        image("m", Role.NEGATIVE, cells=0, found=0, false=[]),
    ]
    points = EvaluationSettings(bootstrap=0, fps_points=(0.5, 1))
    figures = by_group(images, {"a": "colon", "n": "colon", "m": "stomach"}, points)
    assert figures["colon"].froc_recalls == {0.5: 0, 1: 0.5}
    assert figures["colon"].froc == 0.25


def test_a_group_without_cells_or_without_negative_images_says_so():
    images = [image("a"), image("n", Role.NEGATIVE, cells=0, found=0)]
    positive, negative = by_group(images, {"a": "x", "n": "y"}, PLAIN).values()
    assert positive.fps is None
    assert negative.instance_recall is negative.collective_recall is negative.froc is None
    assert negative.froc_recalls == {}
    assert negative.fps == 0


@given(seed=SEEDS)
@settings(max_examples=50, deadline=None)
def test_weighted_by_cells_and_images_the_groups_add_up_to_the_whole(draw_scene, seed):
    images = draw_scene(seed)
    whole = evaluate(images, PLAIN)
    groups = by_group(images, {one.image_id: one.slide for one in images}, PLAIN).values()
    cells = [one for one in groups if one.n_truth]
    n_truth = sum(one.n_truth for one in cells)
    for name in ("instance_recall", "collective_recall", "froc"):
        total = sum(getattr(one, name) * one.n_truth for one in cells)
        assert total / n_truth == pytest.approx(getattr(whole, name))
    false = sum(one.fps * one.n_negative_images for one in groups if one.fps is not None)
    assert false / whole.n_negative_images == pytest.approx(whole.fps)
    assert sum(one.n_predictions for one in groups) == whole.n_predictions


def test_an_image_without_a_group_is_refused():
    with pytest.raises(KeyError, match="'a'"):
        by_group([image("a")], {}, PLAIN)
