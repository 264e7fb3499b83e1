"""What the report page shows, gathered from the artefacts of a run."""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.checkpoints import load_card
from tasks.crops import stories

if TYPE_CHECKING:
    from models.metrics.detection import Evaluation
    from models.metrics.settings import EvaluationSettings
    from storage.layout import Workspace
    from storage.report.model import (
        ArmRow,
        Curve,
        FrocPlot,
        GrowthPlot,
        ReportData,
        RoundCard,
        TrainingPlot,
    )
    from tasks.evidence import ArmEvidence, Round
    from tasks.report import ReportInputs

PACKAGES = ("torch", "numpy", "scikit-image", "zarr", "tiffslide", "prefect", "mlflow")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run was asked for."""

    settings: dict[str, Any]
    """The whole configuration."""
    evaluation: EvaluationSettings


def report_data(
    at: Workspace, inputs: ReportInputs, rows: list[ArmRow], asked: Asked
) -> ReportData:
    """Return everything that the page shows."""
    from storage.regions import open_regions
    from storage.report.model import Refusal, ReportData

    with_gains = _with_gains(at, inputs, rows, asked.evaluation)
    refused = open_regions(at, inputs.regions).refused
    return ReportData(
        title=f"signetflow: {asked.settings['name']}",
        command="signetflow run config.json  (the file beside this page; JSON is YAML)",
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        summary=tuple(_summary(with_gains)),
        rows=tuple(with_gains),
        froc=tuple(_froc_plots(at, inputs.arms)),
        training=tuple(_training_plots(at, inputs.arms)),
        growth=tuple(_growth_plots(at, inputs.arms)),
        rounds=tuple(card for arm in inputs.arms for card in _cards(at, arm)),
        crops=tuple(stories(at, inputs)),
        refused=tuple(Refusal(one.name, one.reason) for one in refused),
        settings=_flat(asked.settings),
        versions={"python": platform.python_version()} | {n: version(n) for n in PACKAGES},
    )


def _with_gains(
    at: Workspace, inputs: ReportInputs, rows: list[ArmRow], settings: EvaluationSettings
) -> list[ArmRow]:
    """Return the rows with the interval of each gain over its control, where both were run."""
    from models.metrics.detection import difference
    from storage.report.model import CONTROLS

    # The intervals of the single rows were drawn before; only those of differences are new.
    once = settings.model_copy(update={"bootstrap": 0})
    measured = {key: one for arm in inputs.arms for key, one in _evaluations(at, inputs, arm, once)}
    found = []
    for row in rows:
        own = measured[(*row.group, row.arm)]
        control = measured.get((*row.group, CONTROLS.get(row.arm, "")))
        interval = difference(own, control, settings, seed=row.seed).interval if control else None
        found.append(replace(row, gain_interval=interval))
    return found


def _evaluations(
    at: Workspace, inputs: ReportInputs, arm: ArmEvidence, settings: EvaluationSettings
) -> list[tuple[tuple[str, int, int, str, str, str], Evaluation]]:
    from models.metrics.detection import evaluate
    from storage.datasets.splits import Part
    from storage.detections import open_detections
    from storage.regions import open_regions
    from tasks.evaluate import images_by_truth
    from tasks.trial import ANNOTATED, Selection

    if arm.detections is None:
        raise AssertionError("a report is made of evaluated arms")
    source = open_regions(at, inputs.regions)
    chosen = Selection(arm.trial, Part.TEST, ANNOTATED).of(source)
    images = images_by_truth(source, open_detections(at, arm.detections), chosen)
    place = (arm.trial.split, arm.trial.fold, arm.trial.seed, arm.model)
    return [
        ((*place, truth, arm.arm), evaluate(found, settings)) for truth, found in images.items()
    ]


def _summary(rows: list[ArmRow]) -> list[str]:
    """Return one sentence per comparison of an arm with its control."""
    from storage.report.model import ARMS, CONTROLS

    truths = {row.truth for row in rows}
    shown = [
        row for row in rows if row.truth == ("complete" if "complete" in truths else "partial")
    ]
    by_key = {(*row.group, row.arm): row for row in shown}
    sentences = []
    for row in shown:
        control = by_key.get((*row.group, CONTROLS.get(row.arm, "")))
        if control is None:
            continue
        gain = row.froc - control.froc
        interval = row.gain_interval
        span = f" (95 % interval {interval[0]:+.3f} to {interval[1]:+.3f})" if interval else ""
        sentences.append(
            f"{row.model}, {row.mode} fold {row.fold}, seed {row.seed}: {ARMS[row.arm]} has FROC "
            f"{row.froc:.3f} after {row.n_steps:,} steps, its control {control.froc:.3f} after "
            f"{control.n_steps:,}: "
            f"{gain:+.3f}{span}, {row.truth} truth."
        )
    return sentences


def _froc_plots(at: Workspace, arms: tuple[ArmEvidence, ...]) -> list[FrocPlot]:
    from storage.report.model import FrocPlot

    plots: dict[tuple[Any, ...], list[tuple[str, dict[str, Any]]]] = {}
    for arm in arms:
        if arm.evaluation is None:
            continue
        for truth, result in load_card(at, arm.evaluation)["results"].items():
            plots.setdefault((arm.trial, arm.model, truth), []).append((arm.arm, result))
    several = len({trial for trial, _, _ in plots}) > 1
    return [
        FrocPlot(
            f"{trial} {model}" if several else model,
            truth,
            results[0][1]["fps_basis"],
            tuple(_curve(name, r["curve"]["fps"], r["curve"]["recall"]) for name, r in results),
        )
        for (trial, model, truth), results in plots.items()
    ]


def _curve(name: str, x: list[float], y: list[float]) -> Curve:
    from storage.report.model import Curve

    return Curve(name, np.asarray(x, np.float64), np.asarray(y, np.float64))


def _training_plots(at: Workspace, arms: tuple[ArmEvidence, ...]) -> list[TrainingPlot]:
    """Return loss and validation of each arm over all its rounds, one plot an arm."""
    from storage.report.model import TrainingPlot

    plots = []
    for arm in arms:
        histories = [load_card(at, one.checkpoint)["history"] for one in arm.rounds]
        entries = [entry for history in histories for entry in history]
        epochs = list(range(1, len(entries) + 1))
        judged = [
            (epoch, entry["validation_froc"])
            for epoch, entry in zip(epochs, entries, strict=True)
            if entry.get("validation_froc") is not None
        ]
        plots.append(
            TrainingPlot(
                arm.arm,
                f"{arm.model} ({arm.trial})",
                _curve("loss", [float(e) for e in epochs], [entry["loss"] for entry in entries]),
                _curve("validation", [float(e) for e, _ in judged], [s for _, s in judged])
                if judged
                else None,
                _best_epoch(at, arm),
            )
        )
    return plots


def _best_epoch(at: Workspace, arm: ArmEvidence) -> float | None:
    cards = [load_card(at, one.checkpoint) for one in arm.rounds[: arm.kept + 1]]
    if not cards[-1]["best_epoch"]:
        return None
    return float(sum(len(card["history"]) for card in cards[:-1]) + cards[-1]["best_epoch"])


def _growth_plots(at: Workspace, arms: tuple[ArmEvidence, ...]) -> list[GrowthPlot]:
    from storage.report.model import GrowthPlot

    by_network: dict[str, list[Curve]] = {}
    for arm in arms:
        cards = [load_card(at, verdict) for verdict in arm.verdicts]
        if cards:
            rounds = [0.0, *(float(card["round"]) for card in cards)]
            counts = [
                float(cards[0]["n_pseudo_before"]),
                *(float(card["n_pseudo"]) for card in cards),
            ]
            name = f"{arm.model} ({arm.trial})"
            by_network.setdefault(name, []).append(_curve(arm.arm, rounds, counts))
    return [
        GrowthPlot(name, "cells that nobody drew", tuple(curves))
        for name, curves in by_network.items()
    ]


def _cards(at: Workspace, arm: ArmEvidence) -> list[RoundCard]:
    return [_card(at, arm, index, one) for index, one in enumerate(arm.rounds) if one.verdict]


def _card(at: Workspace, arm: ArmEvidence, index: int, one: Round) -> RoundCard:
    from storage.report.model import RoundCard

    if one.verdict is None:
        raise AssertionError("only rounds that changed labels have a card")
    verdict = load_card(at, one.verdict)
    last = load_card(at, one.checkpoint)["history"][-1]
    return RoundCard(
        arm=arm.arm,
        model=arm.model,
        round=one.number,
        n_cells=verdict["n_pseudo"] + verdict["n_human"],
        growth=_number(verdict["growth"]),
        churn=_number(verdict["churn"]),
        area_per_instance=_number(verdict["relative_area"]),
        validation=last.get("validation_froc"),
        decision=verdict["reason"],
        kept=index == arm.kept,
        label_version=one.labels.digest,
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = str(value)
    return flat
