"""Retraining on incomplete annotations: Li et al. 2019 as a Prefect flow."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path  # Prefect reads the types of a flow's parameters when it runs
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger
from prefect.context import FlowRunContext
from prefect.states import Completed, Failed

from flows import logs
from flows.config import RetrainConfig
from flows.gauges import gauged
from flows.news import deliver_news, warn_of
from flows.planning import link_report, plan_of
from flows.promotion import tell_what_stands
from flows.slots import in_slot
from flows.stages import Conductor, open_run
from models.errors import BusyError, SignetflowError, WorkspaceError
from storage.layout import Workspace
from storage.locks import IfBusy, retraining, shared
from storage.logged import about
from tasks.track import Tracker

if TYPE_CHECKING:
    from storage.layout import Ref
    from tasks.stage import Run

NOTHING_NEW, SKIPPED = "Nothing new", "Skipped"
"""Names of the states in which a retraining ends without having trained."""


@flow(name="retrain", flow_run_name="{config.name}", persist_result=False)
def retrain(config: RetrainConfig, workspace: Path, if_busy: IfBusy = "join") -> str:
    """Train on incomplete annotations, in rounds, and report; return the report's Ref as text.

    Parameters
    ----------
    config
        What to train on what; presets are in ``deployments/presets``.
    workspace
        The folder that holds the ingested dataset and receives every result.
    if_busy
        When another retraining is at work in the workspace: ``join`` works beside it and makes no
        stage twice, ``wait`` begins when it has ended, ``skip`` ends at once, as "Skipped".
    """
    report: str = retrained(config, Workspace(workspace), if_busy)
    return report


def retrained(config: RetrainConfig, at: Workspace, if_busy: IfBusy) -> Any:  # noqa: ANN401  # a value or a state
    """Go through a retraining inside a flow; return the report's Ref as text, or a state.

    Who calls a flow that returns a state gets the state's data.
    """
    logs.set_up()
    at.require_writable()
    try:
        with gauged(at), shared(at), retraining(at, if_busy), in_slot():
            tell_what_stands(at)
            warn_of(deliver_news(at))
            plan = plan_of(config, at)
            run = open_run(config, at)
            with about(run=run.run_id):
                report = plan.report or _made(config, run)
            link_report(at, plan.run_id, report)
            if plan.report:
                Tracker(run).deliver()
            warn_of(deliver_news(at))
    except BusyError as error:
        return Completed(name=SKIPPED, message=str(error))
    except Exception as error:
        if FlowRunContext.get() is None:
            raise
        get_run_logger().exception("the run failed")
        return Failed(message=_why(error), data=error)
    if plan.report:
        message = f"every stage is done and intact: {report}"
        return Completed(name=NOTHING_NEW, data=str(report), message=message)
    return str(report)


def _made(config: RetrainConfig, run: Run) -> Ref:
    tracker = Tracker(run)
    conductor = Conductor(run, config, tracker.arm_finished)
    asked = config.model_dump(mode="json")
    run.ledger.start_run(run.run_id, config.name, asked, time.time())
    tracker.run_started(config.name, asked, conductor.dataset)
    try:
        report = conductor.report()
    except BaseException as error:
        message = str(error) or type(error).__name__
        error.add_note(f"run {run.run_id[:8]} ({config.name}){_failed_stage(run, message)}")
        with suppress(WorkspaceError):  # a full disk takes no note either: say what came first
            run.ledger.finish_run(run.run_id, "failed", time.time(), message=message)
            tracker.run_ended(None, message)
        raise
    # In this order: what is completed is not gone through again, and the end would never be told.
    tracker.run_ended(report)
    run.ledger.finish_run(run.run_id, "completed", time.time(), result=report)
    return report


def _failed_stage(run: Run, message: str) -> str:
    """Return at which stage a run failed, for a sentence; nothing if it was at none."""
    with suppress(WorkspaceError):
        stages = [one for one in run.ledger.stages_of(run.run_id) if one.state == "failed"]
        # Side by side, the other one says only that it was stopped.
        stages = [one for one in stages if one.message == message] or stages
        return f" at {stages[0].label!r}" if stages else ""
    return ""


def _why(error: Exception) -> str:
    """Return what somebody is told of a run that failed: which, where and why."""
    kind = "" if isinstance(error, SignetflowError) else f"{type(error).__name__}: "
    where = "".join(f"{note}: " for note in getattr(error, "__notes__", ()))
    return f"{where}{kind}{error}"
