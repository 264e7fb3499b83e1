"""The arms of figure 2 of Li et al. 2019, each a straight list of stages, and their controls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from flows.config import Arm
from flows.results import ArmResult, result, steps_of, weighed
from models.annotations import Role
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
    from models.merging.settings import MergeSettings
    from models.methods.settings import StopSettings
    from storage.layout import Ref

EVERYWHERE = (*ANNOTATED, Role.UNLABELLED)


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
    name = bench.label(Arm.SUPERVISED, model)
    only = weighed(bench, name, Round(0, bench.annotated, checkpoint, bench.annotated))
    return ArmResult(Arm.SUPERVISED, model, (only,), 0, steps_of(bench.run, checkpoint))


def self_training(bench: Bench, model: str, start: ArmResult) -> ArmResult:
    """Let a network correct the labels that it was trained on (Li, sec. 2.3)."""
    settings = bench.config.self_training
    before = start.as_beginning
    rounds: list[Round] = []
    verdicts: list[Ref] = []
    for number in range(1, settings.rounds + 1):
        name = bench.label(Arm.SELF, model, number)
        own = Teacher(model, before.checkpoint)
        seen = _seen(bench, Arm.SELF, model, number, own)
        labels = _relabelled(bench, Arm.SELF, model, number, before, seen)
        verdict = _judged(bench, name, before.labels, labels, number, settings.stop)
        verdicts.append(verdict)
        if not _goes_on(bench.run, verdict):
            break
        recipe = bench.recipes[model].on(f"{Arm.SELF}/{number}", settings.epochs)
        checkpoint = _continued(bench, name, labels, recipe, before.checkpoint, ANNOTATED)
        made = Round(number, labels, checkpoint, before.labels, verdict)
        before = weighed(bench, name, made, before)
        rounds.append(before)
    return result(bench, Arm.SELF, model, rounds, start, tuple(verdicts))


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
        model: result(bench, arm, model, rounds[model], start, tuple(verdicts[model]))
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
        seen = _seen(bench, self.arm, model, self.number, teacher)
        labels = _relabelled(bench, self.arm, model, self.number, before, seen)
        name, stop = bench.label(self.arm, model, self.number), bench.config.cooperative.stop
        verdict = _judged(bench, name, before.labels, labels, self.number, stop)
        return _Prepared(labels, verdict, seen)

    def learned(self, prepared: dict[str, _Prepared], model: str) -> Round:
        """Return a network after it learned what was prepared for it."""
        bench, before, one = self.bench, self.before[model], prepared[model]
        recipe = bench.recipes[model].on(
            f"{self.arm}/{self.number}", bench.config.cooperative.epochs
        )
        name = bench.label(self.arm, model, self.number)
        checkpoint = _continued(bench, name, one.labels, recipe, before.checkpoint, EVERYWHERE)
        made = Round(self.number, one.labels, checkpoint, before.labels, one.verdict)
        seen = [two.seen for two in prepared.values()] if len(prepared) == 2 else []
        return weighed(bench, name, made, before, seen)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The labels of a lesson, the card that compares them with those before, and what was seen."""

    labels: Ref
    verdict: Ref
    seen: Ref
    """Cells that the teacher found on the unannotated tissue."""


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
    before = start.as_beginning
    for pace in paced_by:
        name = bench.label(arm, start.model, pace.number)
        checkpoint = train(
            bench.run,
            name,
            regions=bench.regions,
            labels=start.labels,
            selection=bench.select(Part.TRAIN, ANNOTATED),
            recipe=bench.recipes[start.model].on(f"{arm}/{pace.number}", pace.epochs),
            begin=Beginning(before.checkpoint, pace=pace.checkpoint),
        )
        made = Round(pace.number, start.labels, checkpoint, start.labels)
        before = weighed(bench, name, made, before)
        rounds.append(before)
    return result(bench, arm, start.model, rounds, start, ())


def _first_exchange(bench: Bench, arm: Arm, model: str, start: ArmResult) -> Round:
    """Return where a network stands before its first lesson: further trained, if asked for."""
    epochs = bench.config.cooperative.first_epochs
    if not epochs:
        return start.as_beginning
    name = bench.label(arm, model, 0)
    recipe = bench.recipes[model].on("unlabelled/0", epochs)
    checkpoint = _continued(bench, name, start.labels, recipe, start.checkpoint, ANNOTATED)
    made = Round(0, start.labels, checkpoint, start.labels)
    return weighed(bench, name, made, start.as_beginning)


@dataclass(frozen=True, slots=True)
class Teacher:
    """Whose predictions become labels: a network as it was in its previous round."""

    model: str
    checkpoint: Ref


def _seen(bench: Bench, arm: Arm, model: str, number: int, teacher: Teacher) -> Ref:
    """Return what a teacher sees where labels are to be corrected or made."""
    roles = (Role.POSITIVE,) if arm is Arm.SELF else (Role.UNLABELLED,)
    return predict(
        bench.run,
        bench.label(arm, model, number),
        regions=bench.regions,
        selection=bench.select(Part.TRAIN, roles),
        checkpoint=teacher.checkpoint,
        detector=bench.recipes[teacher.model].detector,
        masks=_merging(bench, arm).of_masks(),
    )


def _merging(bench: Bench, arm: Arm) -> MergeSettings:
    config = bench.config
    settings = config.self_training if arm is Arm.SELF else config.cooperative
    return config.merging.model_copy(update={"threshold": settings.threshold})


def _relabelled(bench: Bench, arm: Arm, model: str, number: int, before: Round, seen: Ref) -> Ref:
    """Return the labels that follow from what a teacher sees."""
    chain = f"{bench.trial.chain}/{arm}/{model}"
    return relabel(
        bench.run,
        bench.label(arm, model, number),
        regions=bench.regions,
        annotated=bench.annotated,
        previous=before.labels,
        detections=seen,
        step=Step(chain, arm.value, number, _merging(bench, arm)),
    )


def _judged(
    bench: Bench, name: str, before: Ref, after: Ref, number: int, stop: StopSettings
) -> Ref:
    return judge(
        bench.run, name, before=before, after=after, round_number=number, stop=stop.of_labels()
    )


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
