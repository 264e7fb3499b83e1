"""The training loop."""

import logging
import threading
from typing import Any

import numpy as np
import pytest
import torch

from models.annotations import Role
from models.errors import TrainingError
from models.losses.cross_entropy_iou import cross_entropy_iou
from models.networks.registry import build
from models.networks.settings import NetworkSettings
from models.networks.weights import weights_digest
from models.runtime import Runtime
from models.training.loop import Hooks, computing, train
from models.training.sampling import Randomness, Sampler
from models.training.settings import TrainingSettings

CPU = Runtime("cpu", "fp32", 1)
SETTINGS = TrainingSettings(
    crop_px=32, batch=4, epochs=3, steps_per_epoch=4, learning_rate=3e-3,
    schedule="one_cycle", save_every_s=0,
)  # fmt: skip


@pytest.fixture
def source(regions):
    return regions(Role.POSITIVE, Role.POSITIVE, Role.NEGATIVE)


def network(family="tiny_resnet", seed=1):
    return build(NetworkSettings(family=family), seed)


def run(source, settings=SETTINGS, *, net=None, seed=0, stage="supervised", **hooks):
    runtime = hooks.pop("runtime", CPU)
    return train(
        net or network(), source, settings, Randomness(seed, stage), runtime, Hooks(**hooks)
    )


def fingerprint(outcome):
    return weights_digest(outcome.state), outcome.history, outcome.best_epoch, outcome.n_steps


class Killed(Exception):  # noqa: N818  # no error: a kill
    """Stands for the end of the process."""


def kill_at(step):
    def report(event):
        if event["kind"] == "step" and event["step"] == step:
            raise Killed

    return report


def wavering(network, epoch):
    """Validation that is best at epoch 2."""
    return {"selection": [0.1, 0.7, 0.4][epoch - 1], "loss": 1.0 / epoch}


def test_the_loss_falls_on_easy_cells(source):
    history = run(source, SETTINGS.model_copy(update={"epochs": 6})).history
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_equal_arguments_end_with_equal_bytes(source, precision):
    runtime = Runtime("cpu", precision, 1)
    first, second = (run(source, runtime=runtime) for _ in range(2))
    assert fingerprint(first) == fingerprint(second)


@pytest.mark.parametrize("change", [{"seed": 1}, {"stage": "self"}])
def test_seed_and_stage_change_what_is_learnt(source, change):
    assert fingerprint(run(source)) != fingerprint(run(source, **change))


@pytest.mark.parametrize("family", ["tiny_resnet", "tiny_dla"])
@pytest.mark.parametrize("step", [3, 4, 9, 11])
def test_a_killed_and_resumed_training_ends_with_the_same_bytes(source, sink, family, step):
    whole = run(source, net=network(family), validate=wavering)
    with pytest.raises(Killed):
        run(source, net=network(family), sink=sink, validate=wavering, report=kill_at(step))
    assert 0 < sink.state[1]["step"] <= step
    seen: list[dict[str, Any]] = []
    resumed = run(source, net=network(family), sink=sink, validate=wavering, report=seen.append)
    assert fingerprint(resumed) == fingerprint(whole)
    assert seen[0]["step"] > 1, "it began again instead of resuming"


def test_a_training_killed_twice_ends_with_the_same_bytes(source, sink):
    whole = run(source)
    for step in (2, 7):
        with pytest.raises(Killed):
            run(source, sink=sink, report=kill_at(step))
    assert fingerprint(run(source, sink=sink)) == fingerprint(whole)


def test_saving_changes_no_result(source, sink):
    assert fingerprint(run(source, sink=sink)) == fingerprint(run(source))
    assert sink.steps == sorted(set(sink.steps))


def test_nothing_is_saved_before_it_is_due(source, sink):
    run(source, SETTINGS.model_copy(update={"save_every_s": 3600}), sink=sink)
    assert sink.steps == []


def test_a_saved_state_of_another_training_is_left_alone(source, sink, caplog):
    run(source, sink=sink, stage="supervised")
    with caplog.at_level(logging.WARNING):
        other = run(source, sink=sink, stage="self")
    assert "starts anew" in caplog.text
    assert fingerprint(other) == fingerprint(run(source, stage="self"))


def test_a_sink_that_fails_stops_the_training(source):
    class FullDisk:
        def load(self):
            return None

        def save(self, tensors, card):
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        run(source, sink=FullDisk())


def test_a_slow_sink_does_not_hold_up_the_steps_and_gets_whole_states(source):
    release = threading.Event()

    class Slow:
        def __init__(self):
            self.states = []

        def load(self):
            return None

        def save(self, tensors, card):
            release.wait(20)
            self.states.append((weights_digest(tensors), card["step"]))

    def report(event):
        if event.get("step") == 12:
            release.set()

    slow = Slow()
    run(source, sink=slow, report=report)
    assert slow.states[0][1] == 1
    exact = Slow()
    run(source, sink=exact)
    assert exact.states[0] == slow.states[0], "a state changed while it waited to be written"


def test_the_best_validated_weights_come_out(source):
    kept = {}

    def validate(net, epoch):
        kept[epoch] = weights_digest(net.state_dict())
        assert not net.training
        return wavering(net, epoch)

    outcome = run(source, validate=validate)
    assert outcome.best_epoch == 2
    assert weights_digest(outcome.state) == kept[2]
    assert outcome.history[1]["validation_selection"] == 0.7
    last = run(source, SETTINGS.model_copy(update={"keep": "last"}), validate=validate)
    assert weights_digest(last.state) == kept[3]


def test_of_two_equal_validations_the_earlier_is_kept(source):
    assert run(source, validate=lambda net, epoch: {"selection": 0.5}).best_epoch == 1


def test_a_validation_without_a_number_is_never_the_best(source):
    scores = [float("nan"), 0.2, float("nan")]
    outcome = run(source, validate=lambda net, epoch: {"selection": scores[epoch - 1]})
    assert outcome.best_epoch == 2


@pytest.mark.parametrize(("every", "epochs"), [(2, [2, 4, 5]), (0, []), (9, [5])])
def test_validation_comes_every_few_epochs_and_at_the_last(source, every, epochs):
    seen = []

    def validate(net, epoch):
        seen.append(epoch)
        return {"selection": 0.0}

    changes = {"epochs": 5, "steps_per_epoch": 1, "validate_every": every}
    run(source, SETTINGS.model_copy(update=changes), validate=validate)
    assert seen == epochs


def test_the_statistics_of_batch_norm_are_kept(source):
    before, after = network().state_dict(), run(source).state
    moved = [n for n in before if "running_mean" in n and not torch.equal(before[n], after[n])]
    assert len(moved) == sum("running_mean" in name for name in before)


def test_every_step_and_epoch_is_reported(source):
    events: list[dict[str, Any]] = []
    outcome = run(source, report=events.append)
    steps = [event["step"] for event in events if event["kind"] == "step"]
    assert steps == list(range(1, 13))
    epochs = [event for event in events if event["kind"] == "epoch"]
    assert [epoch["loss"] for epoch in epochs] == [record["loss"] for record in outcome.history]
    assert outcome.n_steps == 12


def test_a_loss_that_is_no_number_names_the_step_and_the_remedy(source):
    settings = SETTINGS.model_copy(update={"schedule": "constant"})
    broken = network()
    with torch.no_grad():
        broken.body.head.convolution.bias.fill_(float("inf"))
    with pytest.raises(TrainingError, match=r"step 1 of 12.*learning_rate"):
        run(source, settings, net=broken)


def test_no_regions_are_an_error(regions):
    with pytest.raises(TrainingError, match="no region"):
        run(regions())


def test_clipped_gradients_take_another_way(source):
    clipped = run(source, SETTINGS.model_copy(update={"gradient_clip": 1e-3}))
    assert fingerprint(clipped) != fingerprint(run(source))


def test_one_step_is_the_step_that_plain_adam_takes(source):
    settings = SETTINGS.model_copy(
        update={"epochs": 1, "steps_per_epoch": 1, "schedule": "constant"}
    )
    outcome = run(source, settings)
    plain = network()
    optimiser = torch.optim.Adam(plain.parameters(), lr=3e-3, fused=False, foreach=False)
    images, classes = Sampler(source, settings, Randomness(0, "supervised")).batch(0, 0)
    floats = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    cross_entropy_iou(plain(floats), torch.from_numpy(classes)).backward()
    optimiser.step()
    for name, tensor in plain.state_dict().items():
        # Adam's first step is the rate times the gradient's sign: small gradients differ
        assert torch.isclose(outcome.state[name], tensor, atol=1e-4).float().mean() > 0.98, name


def test_threads_and_determinism_are_put_back():
    before = torch.get_num_threads()
    with computing(Runtime("cpu", "fp32", before + 1)):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_training_on_cuda_resumes_to_the_same_bytes(source, sink):
    runtime = Runtime("cuda", "bf16", 1)
    whole = run(source, runtime=runtime)
    with pytest.raises(Killed):
        run(source, sink=sink, runtime=runtime, report=kill_at(7))
    assert fingerprint(run(source, sink=sink, runtime=runtime)) == fingerprint(whole)


def test_how_often_a_state_is_saved_is_part_of_no_key():
    assert "save_every_s" not in SETTINGS.model_dump(mode="json")
    assert SETTINGS.save_every_s == 0
