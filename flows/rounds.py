"""The arms of figure 2 of Li et al. 2019, each a straight list of stages, and their controls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from flows.config import Arm
from models.annotations import Role
from models.methods.rounds import best_round
from storage.checkpoints import load_card
from storage.datasets.splits import Part
from tasks.evidence import Round
from tasks.judge import judge
from tasks.predict import predict
from tasks.relabel import Step, relabel
from tasks.stage import Run, is_pending
from tasks.train import Beginning, Recipe, train
from tasks.trial import ANNOTATED

if TYPE_CHECKING:
    from flows.bench import Bench
    from models.methods.settings import StopSettings
    from storage.layout import Ref

EVERYWHERE = (*ANNOTATED, Role.UNLABELLED)
_ON_ANNOTATED = (Arm.SELF, Arm.SUPERVISED_LONGER)


@dataclass(frozen=True, slots=True)
class ArmResult:
    """What an arm ends with."""

    arm: Arm
    model: str
    rounds: tuple[Round, ...]
    kept: int
    """Index of the round that is kept, by validation against partial labels."""
    n_steps: int
    """Optimiser steps of all its trainings, those of the arms it continues included."""
    verdicts: tuple[Ref, ...] = ()
    """The cards of all rounds, the one that stopped them included."""

    @property
    def checkpoint(self) -> Ref:
        """Return the checkpoint of the round that is kept."""
        return self.rounds[self.kept].checkpoint

    @property
    def labels(self) -> Ref:
        """Return the labels that the kept round trained on."""
        return self.rounds[self.kept].labels


def supervised(bench: Bench, model: str) -> ArmResult:
    """Train on label version 0 as if nothing were missing in it: the baseline."""
    recipe = replace(bench.recipes[model], purpose=Arm.SUPERVISED.value)
    checkpoint = train(
        bench.run,
        bench.label(Arm.SUPERVISED, model),
        regions=bench.regions,
        labels=bench.annotated,
        selection=bench.select(Part.TRAIN, ANNOTATED),
        recipe=recipe,
        begin=Beginning(),
    )
    only = Round(0, bench.annotated, checkpoint, bench.annotated)
    return ArmResult(Arm.SUPERVISED, model, (only,), 0, _steps(bench.run, checkpoint))


def self_training(bench: Bench, model: str, start: ArmResult) -> ArmResult:
    """Let a network correct the labels that it was trained on (Li, sec. 2.3)."""
    settings = bench.config.self_training
    before = Round(0, start.labels, start.checkpoint, start.labels)
    rounds: list[Round] = []
    verdicts: list[Ref] = []
    for number in range(1, settings.rounds + 1):
        name = bench.label(Arm.SELF, model, number)
        own = Teacher(model, before.checkpoint)
        labels = _relabelled(bench, Arm.SELF, model, number, before, own)
        verdict = _judged(bench, name, before.labels, labels, number, settings.stop)
        verdicts.append(verdict)
        if not _goes_on(bench.run, verdict):
            break
        recipe = bench.recipes[model].on(f"{Arm.SELF}/{number}", settings.epochs)
        checkpoint = _continued(bench, name, labels, recipe, before.checkpoint, ANNOTATED)
        before = Round(number, labels, checkpoint, before.labels, verdict)
        rounds.append(before)
    return _result(bench, Arm.SELF, model, rounds, start, tuple(verdicts))


def on_unlabelled(
    bench: Bench, arm: Arm, starts: dict[str, ArmResult], teacher_of: dict[str, str]
) -> dict[str, ArmResult]:
    """Train networks on unannotated tissue that others, or they themselves, labelled (sec. 2.4).

    Each round, every network reads what its teacher's *previous* round says of the unlabelled
    regions; annotated regions keep the labels that self-training ended with and are mixed in.

    Parameters
    ----------
    bench, arm
        The trial; `Arm.COOPERATIVE` or `Arm.SELF_EXTRA`.
    starts
        Where each network stands, by its name.
    teacher_of
        Whose predictions each network learns from: the other's, or its own.
    """
    settings = bench.config.cooperative
    before = bench.each(starts, lambda model: _first_exchange(bench, arm, model, starts[model]))
    # What an arm trains before its first lesson counts to its steps, so its control takes them too.
    rounds = {model: [one] if settings.first_epochs else [] for model, one in before.items()}
    verdicts: dict[str, list[Ref]] = {model: [] for model in starts}
    for number in range(1, settings.rounds + 1):
        lesson = _Lesson(bench, arm, number, before, teacher_of)
        prepared = bench.each(starts, lesson.prepared)
        for model in starts:
            verdicts[model].append(prepared[model].verdict)
        # Both go on or neither: a network whose partner stands still would train alone.
        if not any(_goes_on(bench.run, one.verdict) for one in prepared.values()):
            break
        before = bench.each(starts, partial(lesson.learned, prepared))
        for model in starts:
            rounds[model].append(before[model])
    return {
        model: _result(bench, arm, model, rounds[model], start, tuple(verdicts[model]))
        for model, start in starts.items()
    }


@dataclass(frozen=True, slots=True)
class _Lesson:
    """One round of networks that learn from what teachers see on unannotated tissue."""

    bench: Bench
    arm: Arm
    number: int
    before: dict[str, Round]
    """Where each network stands: what its pupils read is from here, never from this round."""
    teacher_of: dict[str, str]

    def prepared(self, model: str) -> _Prepared:
        """Return what a network is to learn, and the card of it."""
        bench, before = self.bench, self.before[model]
        teacher = Teacher(self.teacher_of[model], self.before[self.teacher_of[model]].checkpoint)
        labels = _relabelled(bench, self.arm, model, self.number, before, teacher)
        name, stop = bench.label(self.arm, model, self.number), bench.config.cooperative.stop
        return _Prepared(labels, _judged(bench, name, before.labels, labels, self.number, stop))

    def learned(self, prepared: dict[str, _Prepared], model: str) -> Round:
        """Return a network after it learned what was prepared for it."""
        bench, before, one = self.bench, self.before[model], prepared[model]
        recipe = bench.recipes[model].on(
            f"{self.arm}/{self.number}", bench.config.cooperative.epochs
        )
        name = bench.label(self.arm, model, self.number)
        checkpoint = _continued(bench, name, one.labels, recipe, before.checkpoint, EVERYWHERE)
        return Round(self.number, one.labels, checkpoint, before.labels, one.verdict)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The labels of a lesson and the card that compares them with those before."""

    labels: Ref
    verdict: Ref


@dataclass(frozen=True, slots=True)
class Pace:
    """How long one round of a control trains."""

    number: int
    epochs: int
    checkpoint: Ref | None
    """The twin's round, whose steps are taken exactly; None: `epochs` over the annotated part."""


def paces(bench: Bench, twin: ArmResult | None) -> list[Pace]:
    """Return the pace of a control: its twin's, or what cooperative training would be given."""
    settings = bench.config.cooperative
    if twin is None:
        numbers = range(0 if settings.first_epochs else 1, settings.rounds + 1)
        return [Pace(n, settings.epochs if n else settings.first_epochs, None) for n in numbers]
    if twin.arm is Arm.SELF:
        epochs = bench.config.self_training.epochs
        return [Pace(one.number, epochs, one.checkpoint) for one in twin.rounds]
    return [
        Pace(one.number, settings.epochs if one.number else settings.first_epochs, one.checkpoint)
        for one in twin.rounds
    ]


def longer(bench: Bench, arm: Arm, start: ArmResult, paced_by: list[Pace]) -> ArmResult:
    """Train as long as another arm did, with the same restarts, on labels that stay: the control.

    Without it a gain cannot be told from longer training.
    """
    rounds: list[Round] = []
    checkpoint = start.checkpoint
    for pace in paced_by:
        checkpoint = train(
            bench.run,
            bench.label(arm, start.model, pace.number),
            regions=bench.regions,
            labels=start.labels,
            selection=bench.select(Part.TRAIN, ANNOTATED),
            recipe=bench.recipes[start.model].on(f"{arm}/{pace.number}", pace.epochs),
            begin=Beginning(checkpoint, pace=pace.checkpoint),
        )
        rounds.append(Round(pace.number, start.labels, checkpoint, start.labels))
    return _result(bench, arm, start.model, rounds, start, ())


def _first_exchange(bench: Bench, arm: Arm, model: str, start: ArmResult) -> Round:
    """Return where a network stands before its first lesson: further trained, if asked for."""
    epochs = bench.config.cooperative.first_epochs
    if not epochs:
        return Round(0, start.labels, start.checkpoint, start.labels)
    name = bench.label(arm, model, 0)
    recipe = bench.recipes[model].on("unlabelled/0", epochs)
    checkpoint = _continued(bench, name, start.labels, recipe, start.checkpoint, ANNOTATED)
    return Round(0, start.labels, checkpoint, start.labels)


@dataclass(frozen=True, slots=True)
class Teacher:
    """Whose predictions become labels: a network as it was in its previous round."""

    model: str
    checkpoint: Ref


def _relabelled(
    bench: Bench, arm: Arm, model: str, number: int, before: Round, teacher: Teacher
) -> Ref:
    """Return the labels that follow from what a teacher sees."""
    on_own = arm is Arm.SELF
    settings = bench.config.self_training if on_own else bench.config.cooperative
    roles = (Role.POSITIVE,) if on_own else (Role.UNLABELLED,)
    merging = bench.config.merging.model_copy(update={"threshold": settings.threshold})
    name = bench.label(arm, model, number)
    detections = predict(
        bench.run,
        name,
        regions=bench.regions,
        selection=bench.select(Part.TRAIN, roles),
        checkpoint=teacher.checkpoint,
        detector=bench.recipes[teacher.model].detector,
        masks=merging,
    )
    return relabel(
        bench.run,
        name,
        regions=bench.regions,
        annotated=bench.annotated,
        previous=before.labels,
        detections=detections,
        step=Step(f"{bench.trial.chain}/{arm}/{model}", arm.value, number, merging),
    )


def _judged(
    bench: Bench, name: str, before: Ref, after: Ref, number: int, stop: StopSettings
) -> Ref:
    return judge(bench.run, name, before=before, after=after, round_number=number, stop=stop)


def _continued(
    bench: Bench, name: str, labels: Ref, recipe: Recipe, start: Ref, roles: tuple[Role, ...]
) -> Ref:
    return train(
        bench.run,
        name,
        regions=bench.regions,
        labels=labels,
        selection=bench.select(Part.TRAIN, roles),
        recipe=recipe,
        begin=Beginning(start),
    )


def _goes_on(run: Run, verdict: Ref) -> bool:
    # A plan cannot know when rounds will stop: it counts them all.
    return is_pending(verdict) or bool(load_card(run.at, verdict)["goes_on"])


def _result(
    bench: Bench,
    arm: Arm,
    model: str,
    rounds: list[Round],
    start: ArmResult,
    verdicts: tuple[Ref, ...],
) -> ArmResult:
    steps = start.n_steps + sum(_steps(bench.run, one.checkpoint) for one in rounds)
    scores = [validation_froc(bench.run, one.checkpoint) for one in rounds]
    config = bench.config
    within = config.self_training if arm in _ON_ANNOTATED else config.cooperative
    kept = best_round(scores, within.stop.rollback_margin)
    return ArmResult(arm, model, tuple(rounds), kept, steps, verdicts)


def validation_froc(run: Run, checkpoint: Ref) -> float:
    """Return the validation FROC of the weights that a checkpoint kept; NaN where unknown."""
    if is_pending(checkpoint):
        return float("nan")
    card = load_card(run.at, checkpoint)
    kept = card["best_epoch"] or len(card["history"])
    score = card["history"][kept - 1].get("validation_froc")
    return float("nan") if score is None else float(score)


def _steps(run: Run, checkpoint: Ref) -> int:
    return 0 if is_pending(checkpoint) else int(load_card(run.at, checkpoint)["n_steps"])
