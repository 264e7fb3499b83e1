"""The order of stages in each arm, with stages that only note what they were asked."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from flows import results, rounds
from flows.bench import Bench
from flows.config import Arm, parse_config
from flows.results import ArmResult
from flows.rounds import longer, on_unlabelled, paces, self_training, supervised
from models.annotations import Role
from models.methods.evidence import choose
from models.metrics.settings import EvaluationSettings
from models.networks.settings import NetworkSettings
from models.runtime import Runtime
from models.training.settings import TrainingSettings
from storage.datasets.splits import Part
from storage.layout import Kind, Ref, Workspace
from tasks.evidence import Round
from tasks.network import DetectorRecipe, DetectorSettings
from tasks.stage import Run
from tasks.train import Recipe
from tasks.trial import Trial

ANNOTATED = Ref(Kind.LABELS, "version-0")


@dataclass
class Stages:
    """Stands for train, predict, relabel and judge: notes what was asked of each."""

    stops_at: int = 99
    """The round whose card ends the rounds."""
    scores: dict[str, float] = field(default_factory=dict)
    """Validation FROC by label of the training; 0.5 without."""
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By the artefact that was made."""
    cards: dict[Ref, dict[str, Any]] = field(default_factory=dict)

    def _made(self, kind: Kind, stage: str, label: str, words: dict[str, Any]) -> Ref:
        name = f"{stage}: {label.split(' · ', 1)[1]}"
        assert name not in self.asked, f"{name} was asked for twice"
        self.asked[name] = words
        return Ref(kind, name)

    def train(self, _run, label, **words):
        ref = self._made(Kind.CHECKPOINT, "train", label, words)
        self.cards[ref] = {"n_steps": 10 * words["recipe"].training.epochs}
        return ref

    def predict(self, _run, label, **words):
        return self._made(Kind.DETECTIONS, "predict", label, words)

    def relabel(self, _run, label, **words):
        return self._made(Kind.LABELS, "relabel", label, words)

    def judge(self, _run, label, **words):
        ref = self._made(Kind.CARD, "judge", label, words)
        self.cards[ref] = {"goes_on": words["round_number"] < self.stops_at}
        return ref

    def weigh(self, _run, label, **words):
        ref = self._made(Kind.CARD, "weigh", label, words)
        score = self.scores.get(words["made"].checkpoint.digest.removeprefix("train: "), 0.5)
        self.cards[ref] = {"froc": score}
        return ref

    def choose(self, _run, label, **words):
        ref = self._made(Kind.CARD, "choose", label, words)
        frocs = [self.cards[one]["froc"] for one in words["cards"]]
        self.cards[ref] = {"kept": choose(frocs, words["margin"]).kept}
        return ref

    def card(self, _at, ref):
        return self.cards[ref]

    def of(self, stage: str) -> dict[str, dict[str, Any]]:
        """Return what was asked of one stage, by label."""
        start = f"{stage}: "
        return {
            name.removeprefix(start): words
            for name, words in self.asked.items()
            if name.startswith(start)
        }


@pytest.fixture
def stages(monkeypatch):
    stages = Stages()
    for name in ("train", "predict", "relabel", "judge"):
        monkeypatch.setattr(rounds, name, getattr(stages, name))
    for name in ("weigh", "choose"):
        monkeypatch.setattr(results, name, getattr(stages, name))
    monkeypatch.setattr(rounds, "load_card", stages.card)
    monkeypatch.setattr(results, "load_card", stages.card)
    return stages


def bench(**changes):
    content = {
        "name": "n", "dataset": "d", "networks": {"a": {}, "b": {}},
        "self_training": {"rounds": 3, "epochs": 2, "threshold": 0.7},
        "cooperative": {"rounds": 2, "epochs": 3, "first_epochs": 0, "threshold": 0.33},
    } | changes  # fmt: skip
    detector = DetectorRecipe(NetworkSettings(), DetectorSettings(), Runtime("cpu", "fp32", 1))
    recipes = {
        name: Recipe(name, "", detector, TrainingSettings(epochs=5), EvaluationSettings())
        for name in ("a", "b")
    }
    run = Run(Workspace(Path("nowhere")), "r")
    regions = Ref(Kind.REGIONS, "regions")
    config = parse_config(content, "test")
    return Bench(run, config, Trial("hard", 0, 0), regions, ANNOTATED, recipes)


def checkpoint(label):
    return Ref(Kind.CHECKPOINT, f"train: {label}")


def labels(label):
    return Ref(Kind.LABELS, f"relabel: {label}")


def started(arm=Arm.SELF, model="a"):
    """Return where an arm begins: another arm's kept round."""
    one = Round(3, labels(f"{model} · before"), checkpoint(f"{model} · before"), ANNOTATED)
    return ArmResult(arm, model, (one,), 0, 100)


def test_the_baseline_trains_on_version_0_from_first_weights(stages):
    result = supervised(bench(), "a")
    (asked,) = stages.of("train").values()
    assert (asked["labels"], asked["begin"].start) == (ANNOTATED, None)
    assert asked["selection"].part is Part.TRAIN
    assert asked["selection"].roles == (Role.POSITIVE, Role.NEGATIVE)
    assert asked["recipe"].training.epochs == 5
    assert (result.n_steps, result.checkpoint) == (50, checkpoint("a · supervised"))


def test_self_training_reads_itself_and_goes_on_from_its_last_round(stages):
    result = self_training(bench(), "a", started(Arm.SUPERVISED))
    assert [one.number for one in result.rounds] == [1, 2, 3]
    teachers = [one["checkpoint"] for one in stages.of("predict").values()]
    begins = [one["begin"].start for one in stages.of("train").values()]
    expected = [checkpoint("a · before")] + [checkpoint(f"a · self round {n}") for n in (1, 2)]
    assert teachers == begins == expected
    previous = [one["previous"] for one in stages.of("relabel").values()]
    assert previous == [labels("a · before")] + [labels(f"a · self round {n}") for n in (1, 2)]
    assert {one["annotated"] for one in stages.of("relabel").values()} == {ANNOTATED}
    assert result.n_steps == 100 + 3 * 20


def test_self_training_looks_at_positive_training_regions_only(stages):
    self_training(bench(), "a", started(Arm.SUPERVISED))
    for one in stages.of("predict").values():
        assert one["selection"].roles == (Role.POSITIVE,)
        assert one["selection"].part is Part.TRAIN
        assert one["masks"].threshold == 0.7


def test_rounds_end_when_the_card_says_so_and_that_round_is_not_trained(stages):
    stages.stops_at = 2
    result = self_training(bench(), "a", started(Arm.SUPERVISED))
    assert [one.number for one in result.rounds] == [1]
    assert len(result.verdicts) == 2
    assert list(stages.of("train")) == ["a · self round 1"]
    assert "a · self round 3" not in stages.of("predict")


def test_cooperation_reads_the_others_previous_round(stages):
    starts = {model: started(model=model) for model in "ab"}
    on_unlabelled(bench(), Arm.COOPERATIVE, starts, {"a": "b", "b": "a"})
    asked = stages.of("predict")
    for model, other in (("a", "b"), ("b", "a")):
        first, second = (asked[f"{model} · cooperative round {n}"] for n in (1, 2))
        assert first["checkpoint"] == checkpoint(f"{other} · before")
        assert second["checkpoint"] == checkpoint(f"{other} · cooperative round 1")
        assert {one["selection"].roles for one in (first, second)} == {(Role.UNLABELLED,)}
        assert first["masks"].threshold == 0.33


def test_both_teachers_of_a_round_look_before_either_network_learns(stages):
    starts = {model: started(model=model) for model in "ab"}
    on_unlabelled(bench(), Arm.COOPERATIVE, starts, {"a": "b", "b": "a"})
    order = list(stages.asked)
    for number in (1, 2):
        looked = [order.index(f"predict: {m} · cooperative round {number}") for m in "ab"]
        learned = [order.index(f"train: {m} · cooperative round {number}") for m in "ab"]
        assert max(looked) < min(learned)


def test_what_was_found_is_mixed_with_annotated_regions(stages):
    on_unlabelled(bench(), Arm.SELF_EXTRA, {"a": started()}, {"a": "a"})
    for one in stages.of("train").values():
        assert set(one["selection"].roles) == set(Role)
    relabelled = stages.of("relabel")
    assert relabelled["a · self_extra round 1"]["previous"] == labels("a · before")
    assert relabelled["a · self_extra round 2"]["previous"] == labels("a · self_extra round 1")


def test_both_networks_stop_together(stages, monkeypatch):
    def judge(_run, label, **words):
        ref = stages._made(Kind.CARD, "judge", label, words)
        stages.cards[ref] = {"goes_on": " a " in label or words["round_number"] == 1}
        return ref

    monkeypatch.setattr(rounds, "judge", judge)
    starts = {model: started(model=model) for model in "ab"}
    results = on_unlabelled(bench(), Arm.COOPERATIVE, starts, {"a": "b", "b": "a"})
    assert [len(results[model].rounds) for model in "ab"] == [2, 2]  # a still changes
    monkeypatch.setattr(stages, "stops_at", 2)
    monkeypatch.setattr(rounds, "judge", stages.judge)
    stages.asked.clear()
    results = on_unlabelled(bench(), Arm.COOPERATIVE, starts, {"a": "b", "b": "a"})
    assert [len(results[model].rounds) for model in "ab"] == [1, 1]


def test_training_before_the_first_exchange_counts_as_a_round_of_its_own(stages):
    one = bench(cooperative={"rounds": 1, "epochs": 3, "first_epochs": 50})
    starts = {model: started(model=model) for model in "ab"}
    results = on_unlabelled(one, Arm.COOPERATIVE, starts, {"a": "b", "b": "a"})
    assert [r.number for r in results["a"].rounds] == [0, 1]
    first = stages.of("train")["a · cooperative round 0"]
    assert first["recipe"].training.epochs == 50
    assert first["selection"].roles == (Role.POSITIVE, Role.NEGATIVE)
    assert results["a"].n_steps == 100 + 500 + 30
    teacher = stages.of("predict")["a · cooperative round 1"]["checkpoint"]
    assert teacher == checkpoint("b · cooperative round 0")


def test_both_ways_with_unlabelled_tissue_begin_with_the_same_training(stages):
    one = bench(cooperative={"rounds": 1, "epochs": 3, "first_epochs": 50})
    on_unlabelled(one, Arm.SELF_EXTRA, {"a": started()}, {"a": "a"})
    on_unlabelled(one, Arm.COOPERATIVE, {"a": started()}, {"a": "a"})
    asked = stages.of("train")
    extra, cooperative = (asked[f"a · {arm} round 0"] for arm in ("self_extra", "cooperative"))
    # Equal arguments have one key: the ledger trains it once.
    assert extra == cooperative


def test_a_control_is_paced_by_the_rounds_of_its_twin(stages):
    twin = self_training(bench(), "a", started(Arm.SUPERVISED))
    result = longer(bench(), Arm.SUPERVISED_LONGER, started(Arm.SUPERVISED), paces(bench(), twin))
    asked = [one for name, one in stages.of("train").items() if "longer" in name]
    assert [one["begin"].pace for one in asked] == [one.checkpoint for one in twin.rounds]
    assert {one["labels"] for one in asked} == {labels("a · before")}
    assert [one["begin"].start for one in asked] == [
        checkpoint("a · before"),
        checkpoint("a · supervised_longer round 1"),
        checkpoint("a · supervised_longer round 2"),
    ]
    assert result.n_steps == twin.n_steps


def test_a_control_of_cooperation_takes_its_first_training_too(stages):
    one = bench(cooperative={"rounds": 1, "epochs": 3, "first_epochs": 50})
    twin = on_unlabelled(one, Arm.COOPERATIVE, {"a": started()}, {"a": "a"})["a"]
    assert [(pace.number, pace.epochs) for pace in paces(one, twin)] == [(0, 50), (1, 3)]


@pytest.mark.parametrize(
    ("first", "expected"), [(0, [(1, 3), (2, 3)]), (7, [(0, 7), (1, 3), (2, 3)])]
)
def test_without_cooperation_its_control_is_paced_by_the_settings(first, expected):
    one = bench(cooperative={"rounds": 2, "epochs": 3, "first_epochs": first})
    assert [(pace.number, pace.epochs) for pace in paces(one, None)] == expected
    assert all(pace.checkpoint is None for pace in paces(one, None))


def test_a_round_that_went_wrong_is_rolled_back(stages):
    stages.scores = {
        "a · self round 1": 0.6, "a · self round 2": 0.58, "a · self round 3": 0.3,
    }  # fmt: skip
    result = self_training(bench(), "a", started(Arm.SUPERVISED))
    assert result.kept == 1
    assert result.checkpoint == checkpoint("a · self round 2")
    assert result.labels == labels("a · self round 2")
    assert result.n_steps == 160  # all that was trained, kept or not


def test_each_round_is_weighed_after_the_one_that_it_goes_on_from(stages):
    first = started(Arm.SUPERVISED)
    before = Ref(Kind.CARD, "of the baseline")
    begin = replace(first, rounds=(replace(first.rounds[0], evidence=before),))
    result = self_training(bench(), "a", begin)
    asked = list(stages.of("weigh").values())
    assert [words["before"] for words in asked] == [
        before, *(one.evidence for one in result.rounds[:-1]),
    ]  # fmt: skip
    assert all(words["seen"] == () for words in asked)
    assert result.choice == Ref(Kind.CARD, "choose: a · self")


def test_the_disagreement_of_two_networks_is_read_from_what_both_saw(stages):
    networks = {"a": started(model="a"), "b": started(model="b")}
    on_unlabelled(bench(), Arm.COOPERATIVE, networks, {"a": "b", "b": "a"})
    for label, words in stages.of("weigh").items():
        number = label.rpartition(" ")[2]
        assert {ref.digest for ref in words["seen"]} == {
            f"predict: a · cooperative round {number}",
            f"predict: b · cooperative round {number}",
        }


def test_a_network_alone_disagrees_with_nobody(stages):
    on_unlabelled(bench(), Arm.SELF_EXTRA, {"a": started()}, {"a": "a"})
    assert all(words["seen"] == () for words in stages.of("weigh").values())
