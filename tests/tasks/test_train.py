from dataclasses import replace

import pytest
import torch

from models.errors import LeakError, StoppedError
from storage.checkpoints import load_card, load_state
from storage.regions import Regions
from tasks.stage import Work
from tasks.train import Beginning


def paced(recipe, **settings):
    return replace(recipe, training=recipe.training.model_copy(update=settings))


def test_the_card_says_what_was_trained_on_what(ground, recipe, trained):
    card = load_card(ground.at, trained)
    assert (card["n_steps"], len(card["history"]), card["n_regions"]) == (6, 2, 6)
    assert (card["labels"], card["regions"]) == (ground.annotated.digest, ground.regions.digest)
    assert (card["split"], card["fold"], card["seed"]) == ("hard", 0, 0)
    assert (card["model"], card["purpose"], card["start"]) == ("a", "supervised", None)
    assert card["network"]["family"] == "tiny_resnet"
    assert card["runtime"] == {"device": "cpu", "precision": "fp32", "threads": 1}
    assert card["first_weights"] is not None
    assert all("validation_froc" in entry for entry in card["history"])


def test_training_never_reads_the_complete_truth(own_ground, recipe, training, monkeypatch):
    def forbidden(_self, region_id):
        raise LeakError(region_id)

    monkeypatch.setattr(Regions, "truth", forbidden)
    training(own_ground.run, own_ground, replace(recipe, purpose="without truth"))


def test_a_training_that_was_stopped_ends_with_the_same_weights_as_one_that_was_not(
    ground, own_ground, recipe, training, monkeypatch
):
    eager = paced(recipe, save_every_s=0, epochs=3)
    undisturbed = training(ground.run, ground, eager)
    steps = []
    tell = Work.progress

    def stop_at_step_4(self, done, total):
        steps.append(done)
        if done == 4:
            raise StoppedError("killed")
        tell(self, done, total)

    with monkeypatch.context() as patch:
        patch.setattr(Work, "progress", stop_at_step_4)
        with pytest.raises(StoppedError):
            training(own_ground.run, own_ground, eager)
    steps.clear()
    monkeypatch.setattr(Work, "progress", lambda self, done, total: steps.append(done))
    assert training(own_ground.run, own_ground, eager) == undisturbed
    assert 1 not in steps  # it went on, and did not start again
    assert steps[-1] == 9


def test_a_control_takes_exactly_the_steps_of_its_twin(ground, recipe, trained, training):
    control = paced(recipe, epochs=2, steps_per_epoch=7)
    ref = training(ground.run, ground, control, Beginning(trained, pace=trained))
    assert load_card(ground.at, ref)["n_steps"] == load_card(ground.at, trained)["n_steps"] == 6


def test_a_pace_that_does_not_fit_the_epochs_is_an_error(ground, recipe, trained, training):
    with pytest.raises(AssertionError, match="no whole number of steps per epoch"):
        training(ground.run, ground, paced(recipe, epochs=4), Beginning(trained, pace=trained))


def test_a_training_that_goes_on_starts_from_the_weights_it_is_given(
    ground, recipe, trained, training
):
    still = paced(recipe, learning_rate=1e-12, epochs=1, keep="last")
    ref = training(ground.run, ground, still, Beginning(trained))
    before, after = load_state(ground.at, trained), load_state(ground.at, ref)
    weights = [name for name in before if name.endswith("weight")]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in weights)
    card = load_card(ground.at, ref)
    assert (card["start"], card["first_weights"]) == (trained.digest, None)


@pytest.mark.parametrize("other", [{"purpose": "self/1"}, {"model": "b"}])
def test_arm_and_network_name_draw_other_crops(ground, recipe, trained, training, other):
    ref = training(ground.run, ground, replace(recipe, **other))
    before, after = load_state(ground.at, trained), load_state(ground.at, ref)
    assert not all(torch.equal(before[name], after[name]) for name in before)


def test_a_round_is_validated_once_at_its_end(recipe):
    assert recipe.on("self/1", 7).training.epochs == 7
    assert recipe.on("self/1", 7).training.validate_every == 7
    never = paced(recipe, validate_every=0)
    assert never.on("self/1", 7).training.validate_every == 0
