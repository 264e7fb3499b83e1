"""Every arm of every network over all folds and seeds of a mode, and what it is above others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.gains import evaluations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from models.metrics.detection import Evaluation
    from models.metrics.pooled import Figure
    from models.metrics.settings import EvaluationSettings
    from storage.layout import Workspace
    from storage.report.comparison import Beside, ComparedRow, Estimate
    from tasks.evidence import ArmEvidence
    from tasks.report import ReportInputs

FIRST = "supervised"
"""The arm that a paper's gains are over."""


@dataclass(frozen=True, slots=True)
class Trials:
    """One arm of one network in one mode, against one kind of truth: fold by fold."""

    mode: str
    model: str
    truth: str
    arm: str
    evidence: tuple[ArmEvidence, ...]
    folds: tuple[Evaluation, ...]

    @property
    def place(self) -> tuple[str, str, str]:
        """Return what arms must share to be compared."""
        return self.mode, self.truth, self.model

    @property
    def n_steps(self) -> int:
        """Return the optimiser steps of all trials."""
        return sum(one.n_steps for one in self.evidence)

    @property
    def n_slides(self) -> int:
        """Return how many test slides have annotated cells."""
        return len({
            slide
            for one in self.folds
            for slide, n_cells in zip(one.slides, one.tally.n_truth.tolist(), strict=True)
            if n_cells
        })  # fmt: skip


def compared_rows(
    at: Workspace,
    inputs: ReportInputs,
    settings: EvaluationSettings,
    progress: Callable[[int, int], None],
) -> list[ComparedRow]:
    """Return a row for each mode, truth, network and arm, in that order."""
    known = list(_trials(at, inputs, settings))
    rows = []
    for done, one in enumerate(known):
        progress(done, len(known))
        others = {other.arm: other for other in known if other.place == one.place}
        rows.append(_row(one, others, settings))
    return sorted(rows, key=lambda row: (row.mode, row.truth))


def _trials(at: Workspace, inputs: ReportInputs, settings: EvaluationSettings) -> Iterator[Trials]:
    """Yield the trials of each arm; truth that one fold of a mode does not know is left out."""
    once = settings.model_copy(update={"bootstrap": 0})
    grouped: dict[tuple[str, str, str], list[ArmEvidence]] = defaultdict(list)
    for one in inputs.arms:
        grouped[one.trial.split, one.model, one.arm].append(one)
    for (mode, model, arm), evidence in grouped.items():
        measured = [evaluations(at, inputs, one, once) for one in evidence]
        for truth in sorted(set.intersection(*(set(one) for one in measured))):
            folds = tuple(one[truth] for one in measured)
            yield Trials(mode, model, truth, arm, tuple(evidence), folds)


def _row(one: Trials, others: Mapping[str, Trials], settings: EvaluationSettings) -> ComparedRow:
    from models.metrics.pooled import pooled
    from storage.report.comparison import ComparedRow
    from storage.report.model import CONTROLS

    first = others.get(FIRST) if one.arm != FIRST else None
    control = others.get(CONTROLS.get(one.arm, ""))
    return ComparedRow(
        mode=one.mode,
        truth=one.truth,
        model=one.model,
        arm=one.arm,
        figures=_estimates(pooled(one.folds, settings)),
        fps_basis=one.folds[0].fps_basis.value,
        n_trials=len(one.folds),
        n_slides=one.n_slides,
        n_steps=one.n_steps,
        over_first=None if first is None else _beside(one, first, settings),
        over_control=None if control is None else _beside(one, control, settings),
    )


def _beside(one: Trials, other: Trials, settings: EvaluationSettings) -> Beside:
    from models.metrics.pooled import pooled, pooled_difference
    from storage.report.comparison import Beside
    from storage.report.model import Gain

    figures = _estimates(pooled_difference(one.folds, other.folds, settings))
    once = settings.model_copy(update={"bootstrap": 0})
    gain = Gain(
        mode=one.mode,
        model=one.model,
        truth=one.truth,
        arm=one.arm,
        control=other.arm,
        n_trials=len(one.folds),
        n_slides=one.n_slides,
        froc=pooled(one.folds, once)["froc"].value,
        control_froc=pooled(other.folds, once)["froc"].value,
        interval=figures["froc"].interval,
        n_steps=one.n_steps,
        control_steps=other.n_steps,
    )
    return Beside(gain, figures)


def _estimates(figures: Mapping[str, Figure]) -> dict[str, Estimate]:
    from storage.report.comparison import Estimate

    return {
        name: Estimate(one.value, *(one.interval or (None, None))) for name, one in figures.items()
    }
