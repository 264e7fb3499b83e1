import numpy as np
import pytest

from models.annotations import Role
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.merging.settings import MergeSettings
from models.methods.settings import StopSettings
from storage.checkpoints import load_card
from storage.datasets.splits import Part
from tasks.judge import judge
from tasks.relabel import Step, relabel

SMALL, LARGE = [[65, 65, 85, 85]], [[60, 60, 90, 90]]


def pixels(box):
    classes, _ = rasterise(np.array(box, float), (96, 96), EllipseSettings())
    return int((classes == 2).sum()), int((classes > 0).sum())


@pytest.fixture(scope="module")
def versions(ground, perfect):
    """Return a version after each of two rounds: each found one cell, the second a larger one."""

    def following(previous, number, boxes):
        return relabel(
            ground.run, "relabel", regions=ground.regions, annotated=ground.annotated,
            previous=previous, detections=perfect(Part.TRAIN, Role.UNLABELLED, boxes=boxes),
            step=Step("chain", "cooperative", number, MergeSettings(threshold=0.5)),
        )  # fmt: skip

    first = following(ground.annotated, 1, SMALL)
    return first, following(first, 2, LARGE)


def card_of(ground, compared, number, **limits):
    before, after = compared
    ref = judge(
        ground.run, "judge", before=before, after=after, round_number=number,
        stop=StopSettings(**limits),
    )  # fmt: skip
    return load_card(ground.at, ref)


def test_a_first_round_counts_what_it_brought_and_goes_on(ground, versions):
    card = card_of(ground, (ground.annotated, versions[0]), 1)
    assert (card["n_pseudo_before"], card["n_pseudo"], card["n_human"]) == (0, 3, 0)
    assert (card["growth"], card["relative_area"]) == (None, None)
    assert card["churn"] == 1.0
    assert card["inner_px"] == 3 * pixels(SMALL)[0]
    assert card["goes_on"]
    assert (card["before"], card["after"]) == (ground.annotated.digest, versions[0].digest)


def test_growth_and_churn_are_those_of_the_pixels(ground, versions):
    card = card_of(ground, versions, 2)
    (small_inner, small), (large_inner, large) = pixels(SMALL), pixels(LARGE)
    assert card["growth"] == pytest.approx(large_inner / small_inner - 1)
    assert card["churn"] == pytest.approx((large - small) / large)
    assert card["n_pseudo_before"] == card["n_pseudo"] == 3


def test_the_limits_of_the_configuration_decide(ground, versions):
    card = card_of(ground, versions, 2, minimum_churn=0.99)
    assert not card["goes_on"]
    assert "limit 99%" in card["reason"]


def test_labels_that_stay_end_the_rounds(ground, versions):
    card = card_of(ground, (versions[1], versions[1]), 2)
    assert (card["growth"], card["churn"]) == (0.0, 0.0)
    assert not card["goes_on"]
