"""What a Prefect server does by itself: end runs whose host died, and tell people."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from prefect.blocks.webhook import Webhook
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

from flows.news import ALARM, PROMOTION

if TYPE_CHECKING:
    from uuid import UUID

BLOCK = "signetflow"
"""Name of the webhook block."""
SILENT = timedelta(seconds=90)
"""A run that said nothing for three heartbeats lives no more."""
NOT_BEGUN = timedelta(minutes=10)
"""A run that its worker took and that never began was lost on the way."""
_RUNS = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
_OURS = ResourceSpecification({"prefect.resource.id": "prefect.tag.signetflow"})
_ENDED_BADLY = """\
{% set flow = event.related | selectattr("role", "equalto", "flow") | first %}\
{% set by = event.related | selectattr("role", "equalto", "deployment") | first %}\
{% set pool = event.related | selectattr("role", "equalto", "work-pool") | first %}\
{% set state = event.payload.validated_state or {} %}\
{% set again = "prefect flow-run retry " ~ (event.resource.id.split(".") | last) %}\
{% set died = state.type == "CRASHED" %}\
"""
"""What the server knows of a run that ended badly, under the names that `_TEXT` uses."""
_TEXT = (
    "(flow.name ~ '/' ~ (by.name or 'by command') ~ ' ' ~ state.name ~ ' (' ~ event.resource.name"
    " ~ (' on pool ' ~ pool.name if pool else '') ~ '): '"
    " ~ (state.message or 'no reason was given') | trim('. ') ~ '. '"
    " ~ ('Its processes or its host died. What is missing: signetflow ops status. Start that, then'"
    " if died else 'More: signetflow status. Mend that, then')"
    " ~ ': ' ~ again ~ '. See ' ~ ('The GPU host died' if died else 'A round failed')"
    " ~ ' in docs/operations.md.')"
)
_SAYS = (
    # Chat servers show `text`; the rest is for programs. A server that fails to write down that it
    # has told does so again, with the same id.
    _ENDED_BADLY + '{"text": {{ (event.payload.text or ' + _TEXT + ") | tojson }},"
    ' "id": {{ event.id | string | tojson }},'
    ' "event": {{ event.event | tojson }}, "time": {{ event.occurred | string | tojson }},'
    ' "resource": {{ event.resource | string | tojson }},'
    ' "what": {{ event.payload | string | tojson }}}'
)


def automations(block: UUID | None) -> list[AutomationCore]:
    """Return what the server is to do by itself; it tells people where a webhook is known."""
    wanted = [
        _crashed(
            "signetflow: a run fell silent",
            "Marks a run as crashed when its heartbeats stop: its host or its processes died. That "
            "frees its place in the pool; retry it, or wait for the next schedule.",
            "prefect.flow-run.heartbeat",
            SILENT,
        ),
        _crashed(
            "signetflow: a run never began",
            "Marks a run as crashed that a worker took and that did not begin: the worker died.",
            "prefect.flow-run.Pending",
            NOT_BEGUN,
        ),
    ]
    return wanted if block is None else [*wanted, *_told(block)]


def _crashed(name: str, description: str, after: str, within: timedelta) -> AutomationCore:
    return AutomationCore(
        name=name,
        description=description,
        tags=["signetflow"],
        trigger=EventTrigger(
            # Any change of state is a sign of life, whatever it is called: our own "Nothing new"
            # and "Skipped" are names of states, and so of events.
            after={after},
            expect={"prefect.flow-run.*"},
            match=_RUNS,
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=within,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"{name}: nothing was heard of it for {within.total_seconds():.0f} s",
            )
        ],
    )


def _told(block: UUID) -> list[AutomationCore]:
    failures = {f"prefect.flow-run.{name}" for name in ("Failed", "Crashed", "TimedOut")}
    return [
        _call("signetflow: tell of failures", block, failures, _OURS),
        _call("signetflow: tell of alarms", block, {ALARM}),
        _call("signetflow: tell of promotions", block, {PROMOTION}),
    ]


def _call(
    name: str, block: UUID, events: set[str], related: ResourceSpecification | None = None
) -> AutomationCore:
    return AutomationCore(
        name=name,
        description=f"Calls the webhook {BLOCK!r} on {', '.join(sorted(events))}.",
        tags=["signetflow"],
        trigger=EventTrigger(
            expect=events,
            match_related=related or ResourceSpecification({}),
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[CallWebhook(block_document_id=block, payload=_SAYS)],
    )


def webhook(url: str) -> UUID:
    """Save the address as a secret of the server and return the id of its block."""
    saved: UUID = Webhook(method="POST", url=url).save(BLOCK, overwrite=True)  # type: ignore[assignment]  # save is synchronous here
    return saved
