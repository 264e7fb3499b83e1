from pathlib import Path

import pytest

from flows import arms
from flows.arms import STANDS_ON, needed, run_arms
from flows.bench import Bench
from flows.config import Arm, parse_config
from flows.results import ArmResult
from storage.layout import Kind, Ref, Workspace
from tasks.stage import Run
from tasks.trial import Trial


def bench(**changes):
    content = {"name": "n", "dataset": "d", "networks": {"a": {}, "b": {}}} | changes
    run = Run(Workspace(Path("nowhere")), "r")
    regions, labels = Ref(Kind.REGIONS, "0" * 32), Ref(Kind.LABELS, "0" * 32)
    return Bench(run, parse_config(content, "test"), Trial("hard", 0, 0), regions, labels)


def result(arm, model):
    return ArmResult(arm, model, (), 0, 0)


@pytest.fixture
def calls(monkeypatch):
    """Return what was trained, in order: the rounds themselves are tested elsewhere."""
    calls: list[tuple[str, ...]] = []

    def supervised(_bench, model):
        calls.append(("supervised", model))
        return result(Arm.SUPERVISED, model)

    def self_training(_bench, model, start):
        calls.append(("self", model, start.arm.value))
        return result(Arm.SELF, model)

    def longer(_bench, arm, start, paced_by):
        calls.append((arm.value, start.model, start.arm.value, paced_by))
        return result(arm, start.model)

    def on_unlabelled(_bench, arm, starts, teacher_of):
        calls.extend((arm.value, model, start.arm.value, teacher_of[model])
                     for model, start in starts.items())  # fmt: skip
        return {model: result(arm, model) for model in starts}

    def paces(_bench, twin):
        return "guessed" if twin is None else twin.arm.value

    for function in (supervised, self_training, longer, on_unlabelled, paces):
        monkeypatch.setattr(arms, function.__name__, function)
    return calls


def test_arms_bring_what_they_stand_on():
    assert needed([Arm.SUPERVISED]) == {Arm.SUPERVISED}
    assert needed([Arm.SUPERVISED_LONGER]) == {Arm.SUPERVISED, Arm.SUPERVISED_LONGER, Arm.SELF}
    assert needed([Arm.COOPERATIVE]) == {Arm.COOPERATIVE, Arm.SELF, Arm.SUPERVISED}
    assert needed(list(Arm)) == set(Arm) == set(STANDS_ON)


def test_every_arm_goes_on_from_where_the_figure_says(calls):
    run_arms(bench(), lambda _: None)
    assert set(calls) == {
        (arm, model, *rest)
        for model, other in (("a", "b"), ("b", "a"))
        for arm, *rest in (
            ("supervised",),
            ("self", "supervised"),
            ("supervised_longer", "supervised", "self"),
            ("self_extra", "self", model),
            ("cooperative", "self", other),
            ("self_longer", "self", "cooperative"),
        )
    }
    assert len(calls) == 12


def test_results_come_network_by_network_in_the_order_of_the_table(calls):
    results = run_arms(bench(), lambda _: None)
    assert [(one.model, one.arm) for one in results] == [
        (model, arm) for model in "ab" for arm in Arm
    ]


def test_arms_that_were_not_asked_for_are_trained_but_not_in_the_table(calls):
    results = run_arms(bench(arms=["supervised_longer"]), lambda _: None)
    assert {one.arm for one in results} == {Arm.SUPERVISED_LONGER}
    assert {call[0] for call in calls} == {"supervised", "self", "supervised_longer"}


def test_a_control_without_its_twin_is_paced_by_the_settings(calls):
    run_arms(bench(arms=["self_longer"]), lambda _: None)
    assert [call[-1] for call in calls if call[0] == "self_longer"] == ["guessed"] * 2


def test_everyone_is_told_of_every_arm_once(calls):
    heard: list[ArmResult] = []
    results = run_arms(bench(), heard.append)
    assert sorted(map(str, heard)) == sorted(map(str, results))


def test_one_network_needs_no_partner(calls):
    run_arms(bench(networks={"a": {}}, arms=["self", "self_extra"]), lambda _: None)
    assert ("self_extra", "a", "self", "a") in calls
