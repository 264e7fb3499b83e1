"""Two runs beside each other: the same arm on the same test slides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.report.verdicts import fewest_slides
from tasks.gains import evaluations
from tasks.remake import arguments_of

if TYPE_CHECKING:
    from models.metrics.detection import Evaluation
    from models.metrics.settings import EvaluationSettings
    from storage.layout import Ref, Workspace
    from tasks.evidence import ArmEvidence


def versus(at: Workspace, first: Ref, second: Ref) -> list[dict[str, Any]]:
    """Return a row for each arm that both reports have, `second` minus `first`.

    The interval is of the difference, over test slides; None where the two were not tested on the
    same slides with the same cells, or on too few to tell.

    Raises
    ------
    NotFoundError
        If the ledger does not know what a report was made of.
    """
    one, other = arguments_of(at, first), arguments_of(at, second)
    arms = {_place(arm): arm for arm in other["inputs"].arms}
    rows = []
    for arm in one["inputs"].arms:
        if _place(arm) in arms:
            own = evaluations(at, one["inputs"], arm, one["evaluation"])
            others = evaluations(at, other["inputs"], arms[_place(arm)], one["evaluation"])
            both = [truth for truth in own if truth in others]
            rows += [_row(arm, t, own[t], others[t], one["evaluation"]) for t in sorted(both)]
    return rows


def _place(arm: ArmEvidence) -> tuple[object, ...]:
    return arm.trial, arm.model, arm.arm


def _row(
    arm: ArmEvidence, truth: str, own: Evaluation, other: Evaluation, settings: EvaluationSettings
) -> dict[str, Any]:
    interval = _interval(own, other, settings, arm.trial.seed)
    return {
        "mode": arm.trial.split, "fold": arm.trial.fold, "seed": arm.trial.seed,
        "arm": arm.arm, "model": arm.model, "truth": truth,
        "first": own.froc, "second": other.froc, "difference": other.froc - own.froc,
        "low": interval[0] if interval else None, "high": interval[1] if interval else None,
    }  # fmt: skip


def _interval(
    own: Evaluation, other: Evaluation, settings: EvaluationSettings, seed: int
) -> tuple[float, float] | None:
    from models.metrics.detection import difference

    if int((own.tally.n_truth > 0).sum()) < fewest_slides(settings.confidence):
        return None
    same = own.slides == other.slides and (own.tally.n_truth == other.tally.n_truth).all()
    return difference(other, own, settings, seed=seed).interval if same else None
