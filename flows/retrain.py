"""Retraining on incomplete annotations: Li et al. 2019 as a Prefect flow."""

from __future__ import annotations

import time
from pathlib import Path  # Prefect reads the types of a flow's parameters when it runs
from typing import TYPE_CHECKING

from prefect import flow

from flows.config import RetrainConfig
from flows.stages import Conductor, open_run
from storage.layout import Workspace
from storage.locks import shared
from tasks.track import Tracker

if TYPE_CHECKING:
    from storage.layout import Ref
    from tasks.stage import Run


@flow(name="retrain", flow_run_name="{config.name}", persist_result=False)
def retrain(config: RetrainConfig, workspace: Path) -> str:
    """Train on incomplete annotations, in rounds, and report; return the report's Ref as text.

    Parameters
    ----------
    config
        What to train on what; presets are in ``deployments/presets``.
    workspace
        The folder that holds the ingested dataset and receives every result.
    """
    with shared(Workspace(workspace)):
        return str(_retrained(config, open_run(config, Workspace(workspace))))


def _retrained(config: RetrainConfig, run: Run) -> Ref:
    tracker = Tracker(run)
    conductor = Conductor(run, config, tracker.arm_finished)
    asked = config.model_dump(mode="json")
    run.ledger.start_run(run.run_id, config.name, asked, time.time())
    tracker.run_started(config.name, asked, conductor.dataset)
    try:
        report = conductor.report()
    except BaseException as error:
        message = str(error) or type(error).__name__
        run.ledger.finish_run(run.run_id, "failed", time.time(), message=message)
        tracker.run_ended(None, message)
        raise
    run.ledger.finish_run(run.run_id, "completed", time.time(), result=report)
    tracker.run_ended(report)
    return report
