"""What the report page shows, gathered from the artefacts of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from storage.checkpoints import load_card
from tasks.breakdown import breakdowns
from tasks.crops import stories
from tasks.curves import froc_plots, precision_plots, rounds_plots, training_plots
from tasks.curves import validation_of as validation
from tasks.examples import examples
from tasks.provenance import dataset_facts, flat, refused, versions

if TYPE_CHECKING:
    from models.metrics.settings import EvaluationSettings
    from storage.layout import Ref, Workspace
    from storage.report.model import ArmRow, Command, ReportData, RoundCard
    from tasks.evidence import ArmEvidence
    from tasks.gains import Gains
    from tasks.report import ReportInputs

HEALTHY = (0.7, 1.2)
"""Where the area of a cell should lie, relative to an annotated one, if no setting says it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run was asked for."""

    settings: dict[str, Any]
    """The whole configuration."""
    evaluation: EvaluationSettings
    command: str = ""
    """The shortest command that says the same, if there is one."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers of a run, from which table and page are made."""

    rows: tuple[ArmRow, ...]
    gains: Gains
    groups: list[dict[str, Any]]
    """A row for each arm, truth and slide, organ or site."""


def report_data(at: Workspace, inputs: ReportInputs, numbers: Measured, asked: Asked) -> ReportData:
    """Return everything that the page shows."""
    from storage.report.model import ReportData

    healthy = _healthy(asked.settings)
    return ReportData(
        title=f"signetflow: {asked.settings['name']}",
        created=datetime.now(UTC).strftime("Made on %Y-%m-%d at %H:%M UTC"),
        rows=tuple(_with_intervals(numbers)),
        gains=numbers.gains.pooled,
        commands=tuple(_commands(inputs, asked)),
        measures=_measures(asked.evaluation),
        froc=tuple(froc_plots(at, inputs.arms)),
        precision=tuple(precision_plots(at, inputs.arms)),
        breakdowns=tuple(breakdowns(numbers.groups)),
        examples=tuple(examples(at, inputs, asked.evaluation)),
        rounds=tuple(card for arm in inputs.arms for card in _cards(at, arm, inputs.arms)),
        healthy=healthy,
        curves=tuple(rounds_plots(at, inputs.arms, healthy)),
        training=tuple(training_plots(at, inputs.arms)),
        crops=tuple(stories(at, inputs)),
        dataset=dataset_facts(at, inputs),
        refused=tuple(refused(at, inputs)),
        settings=flat(asked.settings),
        versions=versions(),
    )


def _with_intervals(numbers: Measured) -> list[ArmRow]:
    """Return the rows with the interval of each gain over its control, where both were run."""
    intervals = numbers.gains.intervals
    return [
        replace(row, gain_interval=intervals.get((*row.group, row.arm))) for row in numbers.rows
    ]


def _measures(settings: EvaluationSettings) -> Any:  # noqa: ANN401  # storage.report stays lazy
    from storage.report.model import Measures

    return Measures(settings.iou, settings.fps_points, settings.confidence, settings.bootstrap)


def _healthy(settings: dict[str, Any]) -> tuple[float, float]:
    stop = settings.get("self_training", {}).get("stop", {})
    return stop.get("smallest_cell", HEALTHY[0]), stop.get("largest_cell", HEALTHY[1])


def _commands(inputs: ReportInputs, asked: Asked) -> list[Command]:
    from storage.report.model import Command

    data = (
        f"On the same dataset, version {inputs.dataset.digest[:8]}: ingesting the same files with "
        f"the same options gives the same version. config.json lies beside this page and holds "
        f"every setting."
    )
    commands = [Command("signetflow run config.json", data)]
    if asked.command:
        commands.append(Command(asked.command, "The same, from a preset of this signetflow:"))
    return commands


def _cards(at: Workspace, arm: ArmEvidence, arms: tuple[ArmEvidence, ...]) -> list[RoundCard]:
    """Return a card for each round, also for the one that only ended the rounds."""
    trained = {one.verdict: index for index, one in enumerate(arm.rounds) if one.verdict}
    trial = str(arm.trial) if len({one.trial for one in arms}) > 1 else ""
    return [_card(at, arm, verdict, trained.get(verdict), trial) for verdict in arm.verdicts]


def _card(
    at: Workspace, arm: ArmEvidence, verdict: Ref, index: int | None, trial: str
) -> RoundCard:
    from storage.report.model import RoundCard

    told = load_card(at, verdict)
    shown, validated = _evidence(at, arm, index)
    reason = told["reason"][:1].upper() + told["reason"][1:]
    follows = _follows(told["goes_on"], trained=index is not None)
    chosen = load_card(at, arm.choice)["reason"] if index == arm.kept and arm.choice else ""
    return RoundCard(
        arm=arm.arm,
        model=arm.model,
        round=told["round"],
        n_cells=told["n_pseudo"] + told["n_human"],
        growth=_number(told["growth"]),
        churn=_number(told["churn"]),
        area_per_instance=_number(told["relative_area"]),
        validation=validated.get("froc"),
        validation_low=validated.get("froc_low"),
        validation_high=validated.get("froc_high"),
        fps=validated.get("fps"),
        disagreement=shown.get("disagreement"),
        decision=f"{reason}. {follows}" + (f" Kept: {chosen}." if chosen else ""),
        kept=index == arm.kept,
        label_version=told["after"],
        trial=trial,
        alarms=tuple(shown.get("alarms", ())),
    )


def _evidence(
    at: Workspace, arm: ArmEvidence, index: int | None
) -> tuple[dict[str, Any], dict[str, float | None]]:
    """Return what the card of a round shows, and what validation said of its network."""
    if index is None:
        return {}, {}
    one = arm.rounds[index]
    if one.evidence is None:  # a run of an older signetflow
        return {}, {"froc": validation(at, one)}
    shown = load_card(at, one.evidence)
    return shown, shown["validation"]


def _follows(goes_on: bool, *, trained: bool) -> str:
    if not trained:
        return "The rounds stop: nothing was trained on these labels."
    return "Training goes on." if goes_on else "Training goes on, for the other network's sake."


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
