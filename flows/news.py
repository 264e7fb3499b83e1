"""What people are told of by way of the Prefect server: alarms, and who is champion now.

News wait in the outbox of the workspace until the server took them, so that a server that is away
only makes them late. Each is told once, also if the run that found it begins again.
"""

from __future__ import annotations

import logging
import platform
import time
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.server import outer_server
from storage.artefacts import canonical_json
from storage.champion import history
from storage.checkpoints import load_card
from storage.ledger import NEWS, Event, Ledger
from storage.locks import exclusive
from storage.tracking.address import problem_reaching, shown

if TYPE_CHECKING:
    from storage.champion import Standing
    from storage.layout import Ref, Workspace
    from tasks.stage import Run

ALARM, PROMOTION = "signetflow.alarm", "signetflow.promotion"
"""Events: a round looks like confirmation bias; a checkpoint became champion."""
ANSWER_S = 5.0
"""How long the server may take for one event: whoever tells it has other work."""
N_TEXT = 2000

logger = logging.getLogger(__name__)


def tell_of_round(run: Run, name: str, label: str, card: Ref) -> None:
    """Tell people of the alarms of a round, as soon as it is weighed.

    Parameters
    ----------
    run
        The run.
    name
        Of its configuration.
    label
        Which round of which arm it is.
    card
        What the round showed.
    """
    alarms = load_card(run.at, card)["alarms"] if outer_server() else ()
    if not alarms:
        return
    said = "; ".join(alarms)
    text = (
        f"ALARM in run {run.run_id[:8]} ({name}), {label}: {said}. The run goes on. Look at its "
        f"labels before they are used: signetflow status, and 'The labels went wrong' in "
        f"docs/operations.md. {_place(run.at)}"
    )
    payload = {"alarm": said, "round": label, "run": run.run_id}
    resource = _resource(f"run.{run.run_id}", f"run {run.run_id[:8]} {name}")
    body = _body(run.at, ALARM, resource, text, payload) | {"related": _flow_run()}
    Ledger(run.at).post_once(Event(f"{NEWS}alarm/{run.run_id}/{label}/{card.digest}", body))
    warn_of(deliver_news(run.at))


def promotion_news(at: Workspace, made: Standing) -> tuple[Event, ...]:
    """Return what people are to be told of a change; nothing of a challenger, or without a server.

    The payload says who and why, and from which checkpoint to which.
    """
    if made.name != "champion" or not outer_server():
        return ()
    before = _champion_before(at, made)
    old = before[:12] if before else "none"
    back = "; back: signetflow models rollback --because '...'" if before else ""
    text = (
        f"Champion changed from {old} to {made.checkpoint[:12]} by {made.by}: "
        f"{made.reason.rstrip('. ')}. It is in use from now on. All changes: signetflow models "
        f"list{back}. {_place(at)}"
    )
    resource = _resource(f"checkpoint.{made.checkpoint}", f"checkpoint {made.checkpoint[:12]}")
    payload = {**asdict(made), "from": before, "to": made.checkpoint}
    body = _body(at, PROMOTION, resource, text, payload)
    return (Event(f"{NEWS}champion/{made.at}/{made.checkpoint}", body),)


def _champion_before(at: Workspace, made: Standing) -> str | None:
    champions = [one for one in history(at) if one.name == made.name]
    place = champions.index(made)
    return champions[place - 1].checkpoint if place else None


def _resource(name: str, words: str) -> dict[str, str]:
    return {"prefect.resource.id": f"signetflow.{name}", "prefect.resource.name": words}


def _flow_run() -> list[dict[str, str]]:
    """Return what has Prefect show an event beside the run that it is of."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return []
    name = f"prefect.flow-run.{context.flow_run.id}"
    return [{"prefect.resource.id": name, "prefect.resource.role": "flow-run"}]


def _place(at: Workspace) -> str:
    return f"[workspace {at.root.absolute()} on {platform.node()}]"


def _body(
    at: Workspace, event: str, resource: dict[str, str], text: str, payload: dict[str, Any]
) -> dict[str, Any]:
    known = {"workspace": str(at.root.absolute()), "host": platform.node()}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    said = {"text": text[:N_TEXT], "since": now, **payload, **known}
    return {"type": "news", "event": event, "resource": resource, "payload": said}


def deliver_news(at: Workspace) -> str:
    """Tell the server what people have not been told; return why it waits, empty if nothing does.

    Takes seconds at most, whatever the server does.
    """
    url = outer_server()
    if not url or not Ledger(at).pending_news():
        return ""
    with exclusive(at.ledger / "news.lock"):
        waiting = Ledger(at).pending_news()
        problem = problem_reaching(url) or _sent(at, waiting)
        left = len(Ledger(at).pending_news()) if problem else 0
    if not problem:
        return ""
    notices = "1 notice waits" if left == 1 else f"{left} notices wait"
    return (
        f"Prefect at {shown(url)}: {problem}; {notices} in the workspace. The next run sends them, "
        f"or: signetflow track deliver"
    )


def warn_of(problem: str) -> None:
    """Log why news wait, if they do."""
    if problem:
        logger.warning("%s", problem)


def _sent(at: Workspace, news: tuple[Event, ...]) -> str:
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    ledger, settings = Ledger(at), {"timeout": ANSWER_S}
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(httpx_settings=settings, sync_client=True) as client,
        ):
            for one in news:
                client.request("POST", "/events", json=[_event(at, one)])
                ledger.mark_delivered(one, time.time())
    except (HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        return f"it did not take a notice ({lines[0]})"
    return ""


def _event(at: Workspace, news: Event) -> dict[str, Any]:
    """Return an event as Prefect's API takes it.

    Its id is that of its content: a server that took it as we were killed drops the second one.
    """
    body = news.body
    named = f"{at.root.absolute()} {news.topic} {canonical_json(body)}"
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, named)),
        "occurred": datetime.now(UTC).isoformat(),
        "event": body["event"],
        "resource": body["resource"],
        "related": body.get("related", []),
        "payload": body["payload"],
    }
