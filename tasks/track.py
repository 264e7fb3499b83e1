"""What the tracking server is told of a run: posted to the outbox, delivered when it listens."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from storage.checkpoints import load_card
from storage.ledger import Event
from tasks.lineage import alarms_in
from tasks.report import read_lineage, read_table

if TYPE_CHECKING:
    from storage.layout import Ref
    from tasks.evidence import ArmEvidence, Round
    from tasks.stage import Run

logger = logging.getLogger(__name__)

MEASURED = ("growth", "churn", "relative_area", "n_pseudo", "n_human")
"""What MLflow is told of a round's card."""


@dataclass(slots=True)
class Tracker:
    """Tells MLflow of a run; one for each run, used from any thread."""

    run: Run
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _rounds: list[dict[str, Any]] = field(default_factory=list)

    def run_started(self, name: str, config: dict[str, Any], dataset: Ref) -> None:
        """Post that the run exists, with what it is to do."""
        facts = {"name": config["dataset"], "digest": dataset.digest}
        body = {
            "type": "run", "run_id": self.run.run_id, "name": name, "config": config,
            "started": self._first_start(), "dataset": facts, "tags": {"dataset": dataset.digest},
        }  # fmt: skip
        self.run.ledger.post(Event(f"run/{self.run.run_id}", body))

    def arm_finished(self, arm: ArmEvidence) -> None:
        """Post every round of an arm, and deliver what waits."""
        for one in arm.rounds:
            self._round(arm, one)
        self.deliver()

    def _round(self, arm: ArmEvidence, one: Round) -> None:
        """Post one round: its labels, its network, what was measured."""
        tags = {
            "split": arm.trial.split, "fold": str(arm.trial.fold), "seed": str(arm.trial.seed),
            "model": arm.model, "arm": arm.arm, "round": str(one.number),
        }  # fmt: skip
        slug = "/".join(tags.values())
        name = f"{arm.trial} · {arm.model} · {arm.arm} round {one.number}"
        verdict = load_card(self.run.at, one.verdict) if one.verdict else {}
        body = self._training(one) | {
            "type": "round", "run_id": self.run.run_id, "slug": slug, "name": name,
            "metrics": {key: verdict[key] for key in MEASURED if verdict.get(key) is not None},
            "labels": [self._dataset(one.labels, "training")],
        }  # fmt: skip
        evidence = load_card(self.run.at, one.evidence) if one.evidence else {}
        alarms = "; ".join(evidence.get("alarms", ()))
        body["metrics"] |= _of_evidence(evidence)
        body["tags"] |= tags | {
            "decision": str(verdict.get("reason", "")), "alarm": alarms or None,
            "card": one.evidence.digest if one.evidence else None,
        }  # fmt: skip
        self.run.ledger.post(Event(f"round/{self.run.run_id}/{slug}", body))
        row = {
            "name": name, "labels_in": one.labels_before.digest, "labels_out": one.labels.digest,
            "cells": body["labels"][0]["n_cells"], "growth": verdict.get("growth"),
            "froc": evidence.get("validation", {}).get("froc"), "alarm": alarms or None,
        }  # fmt: skip
        with self._lock:
            self._rounds.append(row)

    def _training(self, one: Round) -> dict[str, Any]:
        """Return what is to be said of the training of a round."""
        card, stage = load_card(self.run.at, one.checkpoint), self.run.ledger.made(one.checkpoint)
        return {
            "started": stage.started if stage else 0.0,
            "seconds": stage.seconds if stage else 0.0,
            "tags": {
                "labels.in": one.labels_before.digest,
                "labels.out": one.labels.digest,
                "labels.parent": one.labels_before.digest,
                "stage_key": stage.key if stage else "",
            },
            "params": {"training": card["training"], "network": card["network"]},
            "history": card["history"],
            "checkpoint": str(one.checkpoint),
        }

    def run_ended(self, report: Ref | None, message: str = "") -> None:
        """Post how the run ended, and deliver what waits; `message` says why it failed."""
        rows = read_table(self.run.at, report) if report else []
        lineage = read_lineage(self.run.at, report) if report else {"chains": []}
        body = {
            "type": "end", "run_id": self.run.run_id,
            "state": "failed" if message else "completed", "finished": time.time(),
            "message": message, "report": str(report) if report else None, "rows": rows,
            "rounds": self._rounds, "alarms": list(alarms_in(lineage)),
        }  # fmt: skip
        self.run.ledger.post(Event(f"end/{self.run.run_id}", body))
        self.deliver()

    def deliver(self) -> None:
        """Tell the server what waits; what it does not take waits on."""
        from storage.tracking.outbox import deliver

        with self._lock:
            delivery = deliver(self.run.at)
        if delivery.problem:
            logger.warning("%s", delivery.problem)

    def _first_start(self) -> float:
        (known,) = (one for one in self.run.ledger.runs() if one.run_id == self.run.run_id)
        return known.started

    def _dataset(self, labels: Ref, context: str) -> dict[str, Any]:
        from storage.labels.store import open_version

        info = open_version(self.run.at, labels).info
        return {
            "digest": labels.digest, "name": info.chain, "context": context,
            "n_cells": sum(info.n_cells.values()), "n_human": info.human_count,
        }  # fmt: skip


def _of_evidence(card: dict[str, Any]) -> dict[str, float]:
    """Return what MLflow is told of what a round showed."""
    said = {f"evidence.{name}": value for name, value in card.get("validation", {}).items()}
    said["evidence.disagreement"] = card.get("disagreement")
    return {name: value for name, value in said.items() if value is not None}
