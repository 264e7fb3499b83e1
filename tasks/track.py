"""What the tracking server is told of a run: posted to the outbox, delivered when it listens."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from storage.checkpoints import load_card
from storage.ledger import Event
from tasks.report import read_table

if TYPE_CHECKING:
    from storage.layout import Ref
    from tasks.evidence import ArmEvidence, RoundEvidence
    from tasks.stage import Run

logger = logging.getLogger(__name__)


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

    def _round(self, arm: ArmEvidence, one: RoundEvidence) -> None:
        """Post one round: its labels, its network, what was measured."""
        tags = {
            "split": arm.trial.split, "fold": str(arm.trial.fold), "seed": str(arm.trial.seed),
            "model": arm.model, "arm": arm.arm, "round": str(one.number),
        }  # fmt: skip
        name = f"{arm.trial} · {arm.model} · {arm.arm} round {one.number}"
        card = load_card(self.run.at, one.checkpoint)
        verdict = load_card(self.run.at, one.verdict) if one.verdict else {}
        stage = self.run.ledger.made(one.checkpoint)
        labels = [self._dataset(one.labels, "training")]
        slug = "/".join(tags.values())
        metrics = {
            key: float(verdict[key])
            for key in ("growth", "churn", "relative_area", "n_pseudo", "n_human")
            if verdict.get(key) is not None
        }
        body = {
            "type": "round", "run_id": self.run.run_id, "slug": slug, "name": name,
            "started": stage.started if stage else 0.0,
            "seconds": stage.seconds if stage else 0.0,
            "tags": tags | {
                "labels.in": one.labels_before.digest,
                "labels.out": one.labels.digest,
                "labels.parent": one.labels_before.digest,
                "stage_key": stage.key if stage else "",
                "decision": str(verdict.get("reason", "")),
            },
            "params": {"training": card["training"], "network": card["network"]},
            "history": card["history"],
            "metrics": metrics,
            "labels": labels,
            "checkpoint": str(one.checkpoint),
        }  # fmt: skip
        self.run.ledger.post(Event(f"round/{self.run.run_id}/{slug}", body))
        last = card["history"][-1] if card["history"] else {}
        with self._lock:
            self._rounds.append(
                {
                    "name": name, "labels_in": one.labels_before.digest,
                    "labels_out": one.labels.digest, "cells": labels[0]["n_cells"],
                    "growth": verdict.get("growth"), "froc": last.get("validation_froc"),
                }
            )  # fmt: skip

    def run_ended(self, report: Ref | None, message: str = "") -> None:
        """Post how the run ended, and deliver what waits; `message` says why it failed."""
        rows = read_table(self.run.at, report) if report else []
        body = {
            "type": "end", "run_id": self.run.run_id,
            "state": "failed" if message else "completed", "finished": time.time(),
            "message": message, "report": str(report) if report else None, "rows": rows,
            "rounds": self._rounds,
        }  # fmt: skip
        self.run.ledger.post(Event(f"end/{self.run.run_id}", body))
        self.deliver()

    def deliver(self) -> None:
        """Tell the server what waits; what it does not take waits on."""
        from storage.tracking.outbox import deliver

        with self._lock:
            delivery = deliver(self.run.at)
        if delivery.problem:
            logger.warning("%s; %d events wait", delivery.problem, delivery.waiting)

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
