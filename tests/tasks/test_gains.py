from dataclasses import replace

import pytest

from models.metrics.detection import difference
from models.metrics.settings import EvaluationSettings
from storage.datasets.splits import Part
from storage.report.model import CONTROLS
from tasks.evidence import ArmEvidence, Round
from tasks.gains import evaluations, gains_of
from tasks.report import ReportInputs
from tasks.trial import Trial

SETTINGS = EvaluationSettings(bootstrap=50)
TRIAL = Trial("hard", 0, 0)


@pytest.fixture(scope="module")
def arm(ground, perfect):
    """Return a function that makes an arm that found everything, or these boxes."""

    def make(name, trial=TRIAL, n_steps=4, **found):
        one = Round(1, ground.annotated, ground.annotated, ground.annotated)
        detections = perfect(Part.TEST, with_masks=False, **found)
        return ArmEvidence(trial, name, "a", (one,), 0, n_steps, (), None, detections, None)

    return make


def gains(ground, *arms):
    inputs = ReportInputs(ground.dataset, ground.regions, ground.annotated, arms)
    return gains_of(ground.at, inputs, SETTINGS)


def test_a_perfect_arm_gains_all_over_a_blind_control(ground, arm):
    blind = arm("supervised_longer", boxes=[[0, 0, 1, 1]])
    found = gains(ground, arm("self"), blind)
    complete = next(one for one in found.pooled if one.truth == "complete")
    assert (complete.arm, complete.control, complete.n_trials) == ("self", CONTROLS["self"], 1)
    assert (complete.froc, complete.control_froc, complete.difference) == (1.0, 0.0, 1.0)
    assert complete.interval == (1.0, 1.0)
    assert complete.n_slides == 2  # of four; the others are normal tissue
    assert found.intervals["hard", 0, 0, "a", "complete", "self"] == (1.0, 1.0)


def test_an_arm_without_its_control_has_no_gain(ground, arm):
    assert gains(ground, arm("self"), arm("supervised")).pooled == ()
    other = replace(arm("supervised_longer"), model="b")
    assert gains(ground, arm("self"), other).pooled == ()
    elsewhere = arm("supervised_longer", trial=Trial("hard", 0, 7))
    assert gains(ground, arm("self"), elsewhere).pooled == ()


def test_seeds_are_pooled_and_their_steps_added(ground, arm):
    second = Trial("hard", 0, 1)
    arms = [
        arm("self"), arm("self", second, boxes=[[0, 0, 1, 1]]),
        arm("supervised_longer", n_steps=3), arm("supervised_longer", second, 3),
    ]  # fmt: skip
    found = gains(ground, *arms)
    complete = next(one for one in found.pooled if one.truth == "complete")
    assert (complete.n_trials, complete.n_slides) == (2, 2)
    assert (complete.n_steps, complete.control_steps) == (8, 6)
    assert (complete.froc, complete.control_froc) == (0.5, 1.0)
    assert len(found.intervals) == 4  # two seeds, two truths


def test_the_interval_of_one_trial_is_that_of_its_row(conducted):
    # One fold pooled is that fold: two ways to the same number.
    settings = conducted.ground.config.evaluation
    found = gains_of(conducted.ground.at, conducted.inputs, settings)
    assert len(found.pooled) == 12
    for one in found.pooled:
        assert one.interval == pytest.approx(
            found.intervals[one.mode, 0, 0, one.model, one.truth, one.arm]
        )


def test_an_interval_is_drawn_from_the_evaluations_themselves(conducted):
    at, settings = conducted.ground.at, conducted.ground.config.evaluation
    arms = {arm.arm: arm for arm in conducted.inputs.arms if arm.model == "b"}
    own, other = (
        evaluations(at, conducted.inputs, arms[name], settings)["complete"]
        for name in ("cooperative", "self_longer")
    )
    expected = difference(own, other, settings, seed=0).interval
    found = gains_of(at, conducted.inputs, settings).intervals
    assert found["hard", 0, 0, "b", "complete", "cooperative"] == expected


def test_an_arm_that_was_not_evaluated_is_a_mistake(ground, arm):
    unknown = replace(arm("self"), detections=None)
    with pytest.raises(AssertionError, match="evaluated arms"):
        gains(ground, unknown, arm("supervised_longer"))
