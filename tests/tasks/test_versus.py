from dataclasses import replace

import pytest

from models.metrics.detection import difference
from storage.report.verdicts import fewest_slides
from tasks.gains import evaluations
from tasks.versus import _interval, _place, versus


def test_a_run_beside_itself_differs_nowhere(conducted):
    rows = versus(conducted.ground.at, conducted.report, conducted.report)
    assert len(rows) == 2 * len(conducted.inputs.arms)
    assert {row["difference"] for row in rows} == {0.0}
    assert {row["low"] for row in rows} == {None}  # two test slides are too few to tell


def test_arms_are_matched_by_trial_network_and_name(conducted):
    arm = conducted.inputs.arms[0]
    assert _place(arm) == _place(replace(arm, n_steps=99))
    for changed in ({"arm": "other"}, {"model": "other"}, {"trial": replace(arm.trial, seed=9)}):
        assert _place(arm) != _place(replace(arm, **changed))


@pytest.fixture(scope="module")
def two(conducted):
    arms = {arm.arm: arm for arm in conducted.inputs.arms if arm.model == "a"}
    settings = conducted.ground.config.evaluation
    return [
        evaluations(conducted.ground.at, conducted.inputs, arms[name], settings)["complete"]
        for name in ("supervised", "cooperative")
    ]


def test_enough_of_the_same_slides_have_an_interval(conducted, two):
    # At this confidence two slides are enough, which says how little it asks.
    settings = conducted.ground.config.evaluation.model_copy(update={"confidence": 0.5})
    assert fewest_slides(0.5) == 2
    first, second = two
    expected = difference(second, first, settings, seed=3).interval
    assert _interval(first, second, settings, 3) == expected


def test_other_slides_have_none(conducted, two):
    settings = conducted.ground.config.evaluation.model_copy(update={"confidence": 0.5})
    first, second = two
    elsewhere = replace(second, slides=tuple(f"other {name}" for name in second.slides))
    assert _interval(first, elsewhere, settings, 0) is None
    more = replace(second.tally, n_truth=second.tally.n_truth + 1)
    assert _interval(first, replace(second, tally=more), settings, 0) is None
