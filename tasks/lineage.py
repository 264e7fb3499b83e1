"""Which labels came from which network, round by round: as data, and for the page of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.checkpoints import load_card

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.layout import Ref, Workspace
    from tasks.evidence import ArmEvidence, Round
    from tasks.report import ReportInputs


def lineage_of(at: Workspace, inputs: ReportInputs) -> dict[str, Any]:
    """Return the chain of every arm: label versions, checkpoints, and the cards of its rounds."""
    return {
        "dataset": inputs.dataset.digest,
        "version_0": inputs.annotated.digest,
        "chains": [_chain(at, arm) for arm in inputs.arms],
    }


def _chain(at: Workspace, arm: ArmEvidence) -> dict[str, Any]:
    choice = load_card(at, arm.choice) if arm.choice else None
    return {
        "split": arm.trial.split,
        "fold": arm.trial.fold,
        "seed": arm.trial.seed,
        "arm": arm.arm,
        "model": arm.model,
        "kept": arm.best.number,
        "choice": {"reason": choice["reason"], "card": choice["decided_by"]} if choice else None,
        "stopped": _stopped(at, arm),
        "alarms": choice["alarms"] if choice else [],
        "start": _start(at, arm.rounds[0].labels_before),
        "rounds": [_round(at, one) for one in arm.rounds],
    }


def _start(at: Workspace, labels: Ref) -> dict[str, Any]:
    return {"labels": labels.digest, "n_cells": _n_cells(at, labels)}


def _stopped(at: Workspace, arm: ArmEvidence) -> dict[str, Any] | None:
    """Return the card that ended the rounds before their number was reached, if one did."""
    for ref in arm.verdicts:
        card = load_card(at, ref)
        if not card["goes_on"]:
            return {"round": card["round"], "reason": card["reason"], "card": ref.digest}
    return None


def _round(at: Workspace, one: Round) -> dict[str, Any]:
    card = load_card(at, one.evidence) if one.evidence else {}
    return {
        "round": one.number,
        "labels_in": one.labels_before.digest,
        "labels_out": one.labels.digest,
        "n_cells": _n_cells(at, one.labels),
        "checkpoint": one.checkpoint.digest,
        "card": one.evidence.digest if one.evidence else None,
        "labels": card.get("labels"),
        "validation": card.get("validation"),
        "disagreement": card.get("disagreement"),
        "alarms": card.get("alarms", []),
    }


def _n_cells(at: Workspace, labels: Ref) -> dict[str, int]:
    from storage.labels.store import open_version

    return dict(open_version(at, labels).info.n_cells)


def alarms_in(lineage: dict[str, Any]) -> Iterator[str]:
    """Yield every alarm as a sentence that says where."""
    for chain in lineage["chains"]:
        where = f"{chain['split']} fold {chain['fold']} seed {chain['seed']} · {chain['model']}"
        for alarm in chain["alarms"]:
            yield f"{where} · {chain['arm']} round {alarm['round']}: {alarm['alarm']}"
