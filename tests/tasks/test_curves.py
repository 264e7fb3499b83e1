import numpy as np
import pytest

from storage.checkpoints import load_card, save_card
from tasks.curves import (
    froc_plots,
    named,
    precision_plots,
    rounds_plots,
    training_plots,
    validation_of,
)
from tasks.evidence import Round
from tasks.trial import Trial


@pytest.fixture(scope="module")
def arms(conducted):
    return conducted.inputs.arms


@pytest.fixture(scope="module")
def at(conducted):
    return conducted.ground.at


def test_a_network_is_named_with_its_trial_where_there_are_several(arms):
    assert named("a", arms[0].trial, arms) == "a"
    from dataclasses import replace

    more = (*arms, replace(arms[0], trial=Trial("hard", 0, 5)))
    assert named("a", Trial("hard", 0, 5), more) == "a (hard fold 0 seed 5)"


def test_curves_are_those_of_the_evaluation_cards(at, arms):
    plots = {(plot.model, plot.truth): plot for plot in froc_plots(at, arms)}
    assert len(plots) == 4
    for arm in arms:
        assert arm.evaluation is not None
        known = load_card(at, arm.evaluation)["results"]["complete"]
        plot = plots[arm.model, "complete"]
        curve = next(one for one in plot.curves if one.name == arm.arm)
        np.testing.assert_array_equal(curve.x, known["curve"]["fps"])
        assert plot.fps_basis == "negative_images"


def test_precision_is_drawn_for_complete_truth_only(at, arms):
    plots = precision_plots(at, arms)
    assert [plot.model for plot in plots] == ["a", "b"]
    assert [len(plot.curves) for plot in plots] == [6, 6]


def test_training_goes_on_over_the_rounds_of_an_arm(at, arms):
    for plot, arm in zip(training_plots(at, arms), arms, strict=True):
        lengths = [len(load_card(at, one.checkpoint)["history"]) for one in arm.rounds]
        assert plot.stage == arm.arm
        np.testing.assert_array_equal(plot.loss.x, np.arange(1.0, sum(lengths) + 1))
        assert plot.ends == tuple(np.cumsum(lengths)[:-1])
        assert plot.best_epoch is None or plot.best_epoch <= sum(lengths[: arm.kept + 1])


def test_rounds_are_drawn_for_what_relabels(at, arms):
    plots = rounds_plots(at, arms, (0.5, 2.0))
    cells = [plot for plot in plots if plot.quantity == "cells that nobody drew"]
    assert [plot.model for plot in cells] == ["a", "b"]
    for plot in cells:
        assert {curve.name for curve in plot.curves} == {"self", "self_extra", "cooperative"}
        assert all(curve.x[0] == 0 for curve in plot.curves)
    assert {plot.band for plot in plots if plot.quantity == "area per cell"} <= {(0.5, 2.0)}
    assert {plot.band for plot in cells} == {None}


@pytest.mark.parametrize(("best", "expected"), [(2, 0.5), (0, None), (3, None)])
def test_the_validation_of_a_round_is_of_the_epoch_that_it_kept(ground, best, expected):
    history = [{"validation_froc": 0.25}, {"validation_froc": 0.5}, {"loss": 1.0}]
    card = save_card(ground.at, {"best_epoch": best, "history": history})
    assert validation_of(ground.at, Round(1, card, card, card)) == expected
