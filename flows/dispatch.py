"""What a Prefect server knows: pools, who works in them, what runs, waits and is late."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from storage.tracking.address import problem_reaching, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, Worker, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

UNDER_WAY = ("RUNNING", "PENDING", "CANCELLING")
ENDED_BADLY = frozenset({"Failed", "Crashed"})
N_LATEST = 200
"""How many flow runs of a kind are asked for."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool and who works in it."""

    name: str
    is_paused: bool
    limit: int | None
    gpu: str | None
    """The CUDA_VISIBLE_DEVICES of its runs; empty: none; None: nothing is said."""
    workers: tuple[str, ...]
    """Those that Prefect has heard of lately."""


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One flow run."""

    flow_run: str
    """Its id."""
    name: str
    deployment: str
    pool: str | None
    state: str
    """As Prefect names it: Running, Late, Scheduled, Failed, ..."""
    since: str | None
    """ISO 8601, UTC: when it began, or was to begin."""
    message: str
    run: str | None = None
    """Parameter `run` of a resumption."""

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a deployment runs by itself."""

    deployment: str
    says: str
    is_on: bool


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What a Prefect server knows."""

    url: str
    problem: str = ""
    """Why it was not asked, or did not answer; everything else is empty then."""
    version: str | None = None
    pools: tuple[Pool, ...] = ()
    running: tuple[Dispatched, ...] = ()
    """Also what a worker has taken and not begun."""
    late: tuple[Dispatched, ...] = ()
    waiting: tuple[Dispatched, ...] = ()
    """The next of each deployment."""
    ended_badly: tuple[Dispatched, ...] = ()
    """The latest of each deployment, if it failed or crashed."""
    schedules: tuple[Schedule, ...] = ()


def look() -> Dispatch:
    """Return what the server at PREFECT_API_URL knows, or why nothing is known."""
    url = os.environ.get("PREFECT_API_URL", "")
    if not url:
        return Dispatch("", "PREFECT_API_URL is not set")
    problem = problem_reaching(url)  # first, for it is quick: Prefect's client tries for long
    if problem:
        return Dispatch(shown(url), problem)
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        with get_client(sync_client=True) as client:
            return _asked(client, shown(url))
    except (HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        return Dispatch(shown(url), f"it refused to answer ({lines[0]})")


def _asked(client: SyncPrefectClient, url: str) -> Dispatch:
    deployments = {one.id: one for one in client.read_deployments()}
    flows = {one.id: one.name for one in client.read_flows()}
    names = {one.id: f"{flows.get(one.flow_id, '?')}/{one.name}" for one in deployments.values()}
    ahead = _told(_read(client, ("SCHEDULED",)), names)
    late = tuple(one for one in ahead if one.state == "Late")
    return Dispatch(
        url,
        version=client.api_version(),
        pools=tuple(_pool(client, one) for one in client.read_work_pools()),
        running=_told(_read(client, UNDER_WAY), names),
        late=late,
        waiting=_first_of_each(one for one in ahead if one not in late),
        ended_badly=_ended_badly(client, names),
        schedules=tuple(_schedules(deployments.values(), names)),
    )


def _read(client: SyncPrefectClient, types: Sequence[str]) -> list[FlowRun]:
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    chosen = FlowRunFilter.model_validate({"state": {"type": {"any_": list(types)}}})
    order = FlowRunSort.EXPECTED_START_TIME_ASC
    return client.read_flow_runs(flow_run_filter=chosen, sort=order, limit=N_LATEST)


def _ended_badly(client: SyncPrefectClient, names: dict[UUID, str]) -> tuple[Dispatched, ...]:
    """Return the latest run of each deployment that has ended, if it ended badly."""
    from prefect.client.schemas.sorting import FlowRunSort

    runs = client.read_flow_runs(sort=FlowRunSort.END_TIME_DESC, limit=N_LATEST)
    latest = _first_of_each(_told((one for one in runs if one.end_time), names))
    return tuple(one for one in latest if one.state in ENDED_BADLY)


def _first_of_each(runs: Iterable[Dispatched]) -> tuple[Dispatched, ...]:
    found: dict[str, Dispatched] = {}
    for one in runs:
        found.setdefault(one.deployment, one)
    return tuple(found.values())


def _told(runs: Iterable[FlowRun], names: dict[UUID, str]) -> tuple[Dispatched, ...]:
    return tuple(_dispatched(one, names) for one in runs)


def _dispatched(one: FlowRun, names: dict[UUID, str]) -> Dispatched:
    deployment = names.get(one.deployment_id, "by hand") if one.deployment_id else "by hand"
    since = one.end_time or one.start_time or one.expected_start_time
    message = (one.state.message or "") if one.state else ""
    return Dispatched(
        str(one.id), one.name, deployment, one.work_pool_name,
        one.state_name or "?", _iso(since), " ".join(message.split())[:300],
        one.parameters.get("run"),
    )  # fmt: skip


def _iso(when: datetime | None) -> str | None:
    return when.astimezone(UTC).isoformat(timespec="seconds") if when else None


def _pool(client: SyncPrefectClient, one: WorkPool) -> Pool:
    properties = one.base_job_template.get("variables", {}).get("properties", {})
    env = properties.get("env", {}).get("default") or {}
    workers = client.read_workers_for_work_pool(one.name)
    there = tuple(worker.name for worker in workers if _is_there(worker))
    return Pool(
        one.name, bool(one.is_paused), one.concurrency_limit,
        env.get("CUDA_VISIBLE_DEVICES"), there,
    )  # fmt: skip


def _is_there(worker: Worker) -> bool:
    return worker.status.value == "ONLINE"


def _schedules(
    deployments: Iterable[DeploymentResponse], names: dict[UUID, str]
) -> Iterable[Schedule]:
    for one in deployments:
        for schedule in one.schedules:
            rule = schedule.schedule
            says = getattr(rule, "cron", None) or getattr(rule, "interval", None) or rule
            zone = getattr(rule, "timezone", None)
            said = f"{says} {zone}" if zone else str(says)
            yield Schedule(names[one.id], said, schedule.active and not one.paused)
