"""The curves of the page, from the cards of evaluations, trainings and rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from storage.checkpoints import load_card

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storage.layout import Workspace
    from storage.report.model import Curve, FrocPlot, PrecisionPlot, RoundsPlot, TrainingPlot
    from tasks.evidence import ArmEvidence, Round
    from tasks.trial import Trial

    Place = tuple[Trial, str, str]
    """A trial, a network and a kind of truth."""


def named(model: str, trial: Trial, arms: Sequence[ArmEvidence]) -> str:
    """Return a network's name, with its trial where there are several."""
    return f"{model} ({trial})" if len({arm.trial for arm in arms}) > 1 else model


def froc_plots(at: Workspace, arms: Sequence[ArmEvidence]) -> list[FrocPlot]:
    """Return recall against false positives, one plot for each network, trial and truth."""
    from storage.report.model import FrocPlot

    return [
        FrocPlot(
            named(model, trial, arms),
            truth,
            results[0][1]["fps_basis"],
            tuple(_curve(arm, one["curve"]["fps"], one["curve"]["recall"]) for arm, one in results),
        )
        for (trial, model, truth), results in _results(at, arms).items()
    ]


def precision_plots(at: Workspace, arms: Sequence[ArmEvidence]) -> list[PrecisionPlot]:
    """Return precision against recall, where every cell of the test part is known."""
    from storage.report.model import PrecisionPlot

    plots = []
    for (trial, model, _), results in _results(at, arms).items():
        known = [(arm, one.get("precision_recall")) for arm, one in results]
        curves = [_curve(arm, one["recall"], one["precision"]) for arm, one in known if one]
        if curves:
            plots.append(PrecisionPlot(named(model, trial, arms), tuple(curves)))
    return plots


def _results(
    at: Workspace, arms: Sequence[ArmEvidence]
) -> dict[Place, list[tuple[str, dict[str, Any]]]]:
    found: dict[Place, list[tuple[str, dict[str, Any]]]] = {}
    for arm in arms:
        if arm.evaluation is not None:
            for truth, result in load_card(at, arm.evaluation)["results"].items():
                found.setdefault((arm.trial, arm.model, truth), []).append((arm.arm, result))
    return found


def training_plots(at: Workspace, arms: Sequence[ArmEvidence]) -> list[TrainingPlot]:
    """Return loss and validation of each arm over all its rounds, one plot an arm."""
    from storage.report.model import TrainingPlot

    plots = []
    for arm in arms:
        histories = [load_card(at, one.checkpoint)["history"] for one in arm.rounds]
        entries = [entry for history in histories for entry in history]
        epochs = [float(epoch) for epoch in range(1, len(entries) + 1)]
        judged = [
            (epoch, entry["validation_froc"])
            for epoch, entry in zip(epochs, entries, strict=True)
            if entry.get("validation_froc") is not None
        ]
        plots.append(
            TrainingPlot(
                arm.arm,
                named(arm.model, arm.trial, arms),
                _curve("loss", epochs, [entry["loss"] for entry in entries]),
                _curve("validation", *zip(*judged, strict=True)) if judged else None,
                _best_epoch(at, arm),
                tuple(np.cumsum([float(len(one)) for one in histories])[:-1].tolist()),
            )
        )
    return plots


def _best_epoch(at: Workspace, arm: ArmEvidence) -> float | None:
    cards = [load_card(at, one.checkpoint) for one in arm.rounds[: arm.kept + 1]]
    if not cards[-1]["best_epoch"]:
        return None
    return float(sum(len(card["history"]) for card in cards[:-1]) + cards[-1]["best_epoch"])


def rounds_plots(
    at: Workspace, arms: Sequence[ArmEvidence], healthy: tuple[float, float]
) -> list[RoundsPlot]:
    """Return what goes from round to round; `healthy` is where the area per cell should lie."""
    from storage.report.model import RoundsPlot

    quantities: tuple[tuple[str, Callable[[Workspace, ArmEvidence], Curve], Any], ...] = (
        ("cells that nobody drew", _cells, None),
        ("share of labelled pixels that changed", _churn, None),
        ("area per cell", _area, healthy),
        ("validation FROC, partial labels", _validation, None),
    )
    networks = list(dict.fromkeys((arm.trial, arm.model) for arm in arms))
    plots = []
    for trial, model in networks:
        own = [one for one in arms if (one.trial, one.model) == (trial, model) and one.verdicts]
        for quantity, read, band in quantities:
            curves = [curve for curve in (read(at, arm) for arm in own) if len(curve.x)]
            if curves:
                name = named(model, trial, arms)
                plots.append(RoundsPlot(name, quantity, tuple(curves), band))
    return plots


def _cells(at: Workspace, arm: ArmEvidence) -> Curve:
    cards = [load_card(at, verdict) for verdict in arm.verdicts]
    rounds = [0.0, *(float(card["round"]) for card in cards)]
    counts = [float(cards[0]["n_pseudo_before"]), *(float(card["n_pseudo"]) for card in cards)]
    return _curve(arm.arm, rounds, counts)


def _churn(at: Workspace, arm: ArmEvidence) -> Curve:
    return _of_verdicts(at, arm, "churn")


def _area(at: Workspace, arm: ArmEvidence) -> Curve:
    return _of_verdicts(at, arm, "relative_area")


def _of_verdicts(at: Workspace, arm: ArmEvidence, name: str) -> Curve:
    cards = [load_card(at, verdict) for verdict in arm.verdicts]
    known = [(float(card["round"]), card[name]) for card in cards if card[name] is not None]
    return _curve(arm.arm, [number for number, _ in known], [value for _, value in known])


def _validation(at: Workspace, arm: ArmEvidence) -> Curve:
    scored = [(one.number, validation_of(at, one)) for one in arm.rounds]
    known = [(float(number), value) for number, value in scored if value is not None]
    return _curve(arm.arm, [number for number, _ in known], [value for _, value in known])


def validation_of(at: Workspace, one: Round) -> float | None:
    """Return the validation FROC of the network that a round ended with."""
    card = load_card(at, one.checkpoint)
    kept = card["best_epoch"] or len(card["history"])
    value: float | None = card["history"][kept - 1].get("validation_froc")
    return value


def _curve(name: str, x: Sequence[float], y: Sequence[float]) -> Curve:
    from storage.report.model import Curve

    return Curve(name, np.asarray(x, np.float64), np.asarray(y, np.float64))
