"""Each arm beside the control that took as many steps on unchanged labels, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.metrics.detection import Evaluation
    from models.metrics.settings import EvaluationSettings
    from storage.layout import Workspace
    from storage.report.model import Gain
    from tasks.evidence import ArmEvidence
    from tasks.report import ReportInputs

    RowKey = tuple[str, int, int, str, str, str]
    """Mode, fold, seed, model, truth and arm: what names a row of the table."""


@dataclass(frozen=True, slots=True)
class Gains:
    """What all arms gained over their controls."""

    pooled: tuple[Gain, ...]
    """All folds and seeds of a mode together."""
    intervals: dict[RowKey, tuple[float, float] | None]
    """Of the gain of each row of the table that has a control."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An arm and its control in one trial, evaluated against one kind of truth."""

    arm: ArmEvidence
    control: ArmEvidence
    own: Evaluation
    others: Evaluation


def gains_of(at: Workspace, inputs: ReportInputs, settings: EvaluationSettings) -> Gains:
    """Return the gains of every arm whose control was run, too."""
    from models.metrics.detection import difference

    pooled: list[Gain] = []
    intervals: dict[RowKey, tuple[float, float] | None] = {}
    for twins in _twins(inputs.arms):
        for truth, pairs in _pairs(at, inputs, twins, settings).items():
            pooled.append(_gain(truth, pairs, settings))
            for pair in pairs:
                trial = pair.arm.trial
                told = difference(pair.own, pair.others, settings, seed=trial.seed)
                key = (trial.split, trial.fold, trial.seed, pair.arm.model, truth, pair.arm.arm)
                intervals[key] = told.interval
    return Gains(tuple(pooled), intervals)


def _twins(arms: tuple[ArmEvidence, ...]) -> Iterator[list[tuple[ArmEvidence, ArmEvidence]]]:
    """Yield the trials of each arm of each network beside those of its control."""
    from storage.report.model import CONTROLS

    known = {(one.trial, one.model, one.arm): one for one in arms}
    modes = list(dict.fromkeys((one.trial.split, one.model) for one in arms))
    for mode, model in modes:
        for arm, control in CONTROLS.items():
            own = [
                one for one in arms if (one.trial.split, one.model, one.arm) == (mode, model, arm)
            ]
            both = [
                (one, known[one.trial, model, control])
                for one in own
                if (one.trial, model, control) in known
            ]
            if both:
                yield both


def _pairs(
    at: Workspace,
    inputs: ReportInputs,
    twins: list[tuple[ArmEvidence, ArmEvidence]],
    settings: EvaluationSettings,
) -> dict[str, list[Pair]]:
    """Return the pairs by truth; a truth that one trial does not know is left out."""
    # The intervals of the single arms were drawn before; only those of differences are new.
    once = settings.model_copy(update={"bootstrap": 0})
    found: dict[str, list[Pair]] = {}
    for arm, control in twins:
        own, others = (evaluations(at, inputs, one, once) for one in (arm, control))
        for truth in own:
            found.setdefault(truth, []).append(Pair(arm, control, own[truth], others[truth]))
    return {truth: pairs for truth, pairs in found.items() if len(pairs) == len(twins)}


def evaluations(
    at: Workspace, inputs: ReportInputs, arm: ArmEvidence, settings: EvaluationSettings
) -> dict[str, Evaluation]:
    """Return an arm's evaluation against each kind of truth."""
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
    return {truth: evaluate(found, settings) for truth, found in images.items()}


def _gain(truth: str, pairs: list[Pair], settings: EvaluationSettings) -> Gain:
    from models.metrics.pooled import pooled, pooled_difference
    from storage.report.model import Gain

    own, others = [pair.own for pair in pairs], [pair.others for pair in pairs]
    first = pairs[0].arm
    once = settings.model_copy(update={"bootstrap": 0})
    return Gain(
        mode=first.trial.split,
        model=first.model,
        truth=truth,
        arm=first.arm,
        control=pairs[0].control.arm,
        n_trials=len(pairs),
        n_slides=len(_annotated_slides(own)),
        froc=pooled(own, once)["froc"].value,
        control_froc=pooled(others, once)["froc"].value,
        interval=pooled_difference(own, others, settings, seed=first.trial.seed)["froc"].interval,
        n_steps=sum(pair.arm.n_steps for pair in pairs),
        control_steps=sum(pair.control.n_steps for pair in pairs),
    )


def _annotated_slides(folds: list[Evaluation]) -> set[str]:
    return {
        slide
        for one in folds
        for slide, n_cells in zip(one.slides, one.tally.n_truth.tolist(), strict=True)
        if n_cells
    }
