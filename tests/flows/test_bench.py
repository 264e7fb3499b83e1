import contextvars
import threading
from pathlib import Path

import pytest

from flows.bench import Bench
from flows.config import Arm, parse_config
from models.annotations import Role
from models.errors import TrainingError
from storage.datasets.splits import Part
from storage.layout import Kind, Ref, Workspace
from tasks.stage import Run
from tasks.trial import Trial


def bench(*, side_by_side=True, planning=False):
    networks: dict[str, object] = {"a": {}, "b": {}}
    content = {"name": "n", "dataset": "d", "networks": networks, "side_by_side": side_by_side}
    run = Run(Workspace(Path("nowhere")), "r", planning=planning)
    regions, labels = Ref(Kind.REGIONS, "0" * 32), Ref(Kind.LABELS, "0" * 32)
    return Bench(run, parse_config(content, "test"), Trial("hard", 1, 2), regions, labels)


def test_a_stage_is_called_by_trial_network_arm_and_round():
    assert bench().label(Arm.SELF, "a", 3) == "hard fold 1 seed 2 · a · self round 3"
    assert bench().label(Arm.SUPERVISED, "a") == "hard fold 1 seed 2 · a · supervised"


def test_a_selection_is_of_this_trial():
    selection = bench().select(Part.TRAIN, (Role.POSITIVE,))
    assert (selection.trial, selection.part) == (Trial("hard", 1, 2), Part.TRAIN)


def test_side_by_side_really_is_at_the_same_time_and_keeps_the_order():
    barrier = threading.Barrier(2, timeout=10)

    def work(model):
        barrier.wait()
        return model * 2

    assert bench().each(["a", "b"], work) == {"a": "aa", "b": "bb"}


def test_side_by_side_sees_the_context_of_the_caller():
    seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen")
    seen.set("mine")
    assert bench().each("ab", lambda _: seen.get()) == {"a": "mine", "b": "mine"}


def test_one_after_the_other_without_side_by_side_and_when_planning():
    threads = set()

    def work(model):
        threads.add(threading.get_ident())
        return model

    bench(side_by_side=False).each("ab", work)
    bench(planning=True).each("ab", work)
    bench().each("a", work)
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("error", [TrainingError("NaN"), KeyboardInterrupt()])
def test_an_error_of_one_network_stops_the_other(error):
    one = bench()

    def work(model):
        if model == "a":
            raise error
        assert one.run.stopped.wait(10)
        return model

    with pytest.raises(type(error)):
        one.each("ab", work)
    assert one.run.stopped.is_set()
