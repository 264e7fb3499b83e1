"""Deliver what the outbox holds to MLflow, whole and in order, as often as it takes.

The work never waits for MLflow: a server that is away leaves its events in the outbox, and each
event can be delivered twice without leaving a second run or a second metric step.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import TrackingError
from storage.ledger import Event, Ledger
from storage.locks import exclusive
from storage.tracking.address import (
    RefusedError,
    problem_reaching,
    shown,
    tracking_uri,
)

if TYPE_CHECKING:
    from storage.layout import Workspace
    from storage.tracking.projection import Projection

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""What MLflow reads from the environment; a value that the user gave stays."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a delivery went."""

    delivered: int
    waiting: int
    """Events that are still in the outbox."""
    problem: str
    """Why some wait, in one sentence; empty when none does."""


def deliver(at: Workspace, *, uri: str | None = None, every: bool = False) -> Delivery:
    """Send the events of the outbox to MLflow and mark those that arrived.

    Parameters
    ----------
    at
        The workspace whose outbox is emptied.
    uri
        The server; by default `MLFLOW_TRACKING_URI`, else the store inside the workspace.
    every
        Send the delivered events too, which fills a server that was emptied or moved.

    Raises
    ------
    WorkspaceError
        If the ledger itself cannot be read or written. A server that is away never raises.
    """
    chosen = tracking_uri(at, uri)
    if not Ledger(at).pending_events(every=every):
        return Delivery(0, 0, "")
    # Two processes that look for a run at once would both create it.
    with exclusive(at.ledger / "tracking.lock"):
        events = Ledger(at).pending_events(every=every)
        problem = problem_reaching(chosen)
        if problem:
            return Delivery(0, len(events), _sentence(chosen, problem, len(events)))
        with warnings.catch_warnings():
            # What MLflow's own dependencies deprecate is nothing that our users can mend.
            warnings.simplefilter("ignore")
            return _send(at, chosen, events)


def _send(at: Workspace, uri: str, events: tuple[Event, ...]) -> Delivery:
    delivered, problem = 0, ""
    ledger = Ledger(at)
    try:
        projection = _projection(at, uri)
        for event in events:
            try:
                projection.show(event)
            except RefusedError as error:
                problem = problem or f"{event.topic}: {error}"
                continue
            ledger.mark_delivered(event, time.time())
            delivered += 1
    except TrackingError as error:
        problem = str(error)
    waiting = len(events) - delivered
    return Delivery(delivered, waiting, _sentence(uri, problem, waiting) if problem else "")


def _projection(at: Workspace, uri: str) -> Projection:
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from storage.tracking.projection import Projection

    # Away or refused is said by us, in one sentence; a migration is of interest to nobody.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return Projection(at, uri)


def _sentence(uri: str, problem: str, waiting: int) -> str:
    reason = " ".join(problem.replace(uri, shown(uri)).split())[:300].rstrip(". ")
    events = "1 event waits" if waiting == 1 else f"{waiting} events wait"
    return f"MLflow at {shown(uri)}: {reason}; {events} in the outbox for the next delivery."
