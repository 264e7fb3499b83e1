"""Set a Prefect server up for signetflow: pools, variables, automations, deployments; and undo it.

Bootstrapping twice changes nothing the second time. What was made is written down on the server
itself, so that `undo` removes exactly that, from any machine.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import (
    VariableCreate,
    VariableUpdate,
    WorkPoolCreate,
    WorkPoolUpdate,
)
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from flows.automations import BLOCK, automations, webhook
from flows.deploying import deploy, is_changed, wanted_deployments, would_change
from models.errors import OperationsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Set
    from pathlib import Path
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import WorkPool
    from prefect.client.schemas.responses import DeploymentResponse

MADE = "signetflow_made"
"""The variable that says what bootstrapping made."""
_OURS = "One run at a time; made by signetflow ops bootstrap."
HEARTBEAT_S = 30
"""How often a run says that it lives; Prefect takes no less."""
PATIENT = {"PREFECT_CLIENT_RETRY_EXTRA_CODES": "500", "PREFECT_CLIENT_MAX_RETRIES": "6"}
"""What every run is told: while its database is away the server answers 500, which Prefect does not
try again by itself, so that a run could not say that it has ended. Six tries, each after twice the
time of the one before, are two minutes."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a server is to be set up with."""

    retrain: Mapping[str, Any]
    """The configuration of the weekly retraining, as a preset says it."""
    workspace: Path
    """As the workers see it."""
    n_gpus: int = 1
    """One pool for each, ``gpu0`` and so on, beside the pool ``cpu``. Runs are sent to ``gpu0``, or
    to ``cpu`` if there is none."""
    webhook: str | None = None
    """Where failures, alarms and promotions are sent to."""


@dataclass(frozen=True, slots=True)
class Step:
    """What became, or would become, of one thing on the server."""

    kind: str
    name: str
    done: str
    """created, updated, unchanged, removed or kept (somebody else made it)."""


def bootstrap(wish: Wish, *, dry_run: bool = False) -> list[Step]:
    """Set the server up, or only say what that would do.

    Raises
    ------
    OperationsError
        If no server answers, others use a name that we need, or Prefect refuses a deployment.
    """
    steps: list[Step] = []
    with connected() as client:
        server = _Server(client, dry_run=dry_run)
        server.require_ours(wish)
        try:
            for step in server.steps(wish):
                steps.append(step)  # noqa: PERF402  # what was made before a failure is known
        finally:
            server.remember(steps)
    return steps


def undo(*, dry_run: bool = False) -> list[Step]:
    """Remove what bootstrapping made, and nothing else."""
    with connected() as client:
        return _Server(client, dry_run=dry_run).undo()


@contextmanager
def connected() -> Iterator[SyncPrefectClient]:
    """Yield a client of the server at PREFECT_API_URL.

    Raises
    ------
    OperationsError
        If none is named, or it does not answer.
    """
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        raise OperationsError(
            "PREFECT_API_URL is not set: which server? signetflow ops serve starts one and says "
            "its address."
        )
    with get_client(sync_client=True) as client:
        problem = client.api_healthcheck()
        if problem:
            raise OperationsError(f"{url}: no Prefect server answers ({problem}). Is it running?")
        yield client


def _pools(n_gpus: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Give each pool with the environment of its runs; a pool runs one thing at a time."""
    alive = {**PATIENT, "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S)}
    yield "cpu", {**alive, "CUDA_VISIBLE_DEVICES": "", "SIGNETFLOW_SLOT": "cpu"}
    for number in range(n_gpus):
        name = f"gpu{number}"
        yield name, {**alive, "CUDA_VISIBLE_DEVICES": str(number), "SIGNETFLOW_SLOT": name}


def _variables(wish: Wish) -> Iterator[tuple[str, Any]]:
    yield "signetflow_retrain", dict(wish.retrain)
    yield "signetflow_workspace", str(wish.workspace.absolute())
    yield "signetflow_pool", "gpu0" if wish.n_gpus else "cpu"


@dataclass(frozen=True, slots=True)
class _Server:
    client: SyncPrefectClient
    dry_run: bool

    def steps(self, wish: Wish) -> Iterator[Step]:
        """Make one thing after the other, each of which the next may stand on."""
        for name, env in _pools(wish.n_gpus):
            yield self.pool(name, env)
        renewed = set()
        for name, value in _variables(wish):
            step = self.variable(name, value)
            renewed |= {name} if step.done == "updated" else set()
            yield step
        block = self.block()
        if wish.webhook is not None:
            block, step = self.webhook(wish.webhook)
            yield step
        for one in automations(block):
            yield self.automation(one)
        before = self.deployments()
        if self.dry_run:
            yield from _would_deploy(before, renewed)
            return
        deploy()
        self.keep_schedules(before)
        yield from self.deployed(before)

    def require_ours(self, wish: Wish) -> None:
        """Refuse names that somebody else uses on this server, before anything is changed.

        A pool that nobody has set up is nobody's: a worker makes its own where it finds none.
        """
        wanted = {name for name, _ in _pools(wish.n_gpus)}
        pools = [one for one in self.client.read_work_pools() if one.name in wanted]
        theirs = {
            ("pool", one.name) for one in pools if _is_set_up(one) and one.description != _OURS
        }
        found = self.deployments().items()
        theirs |= {("deployment", name) for name, one in found if "signetflow" not in one.tags}
        if named := sorted(theirs - {(kind, name) for kind, name in self._made()}):
            raise OperationsError(
                f"{', '.join(map(' '.join, named))}: made by somebody else on this server; nothing "
                f"was changed. Have it renamed, or give signetflow a Prefect server of its own."
            )

    def pool(self, name: str, env: dict[str, str]) -> Step:
        """Make a process pool that runs one thing at a time in an environment."""
        template = ProcessWorker.get_default_base_job_template()
        template["variables"]["properties"]["env"]["default"] = env
        try:
            there = self.client.read_work_pool(name)
        except ObjectNotFound:
            if not self.dry_run:
                self.client.create_work_pool(
                    WorkPoolCreate(
                        name=name,
                        type="process",
                        base_job_template=template,
                        concurrency_limit=1,
                        description=_OURS,
                    )
                )
            return Step("pool", name, "created")
        same = there.base_job_template == template and there.concurrency_limit == 1
        if not same and not self.dry_run:
            update = WorkPoolUpdate(base_job_template=template, concurrency_limit=1)
            self.client.update_work_pool(name, update)
        return Step("pool", name, "unchanged" if same else "updated")

    def variable(self, name: str, value: Any) -> Step:  # noqa: ANN401  # anything JSON holds
        """Set a variable."""
        there = self.client.read_variable_by_name(name)
        if there is None:
            if not self.dry_run:
                self.client.create_variable(VariableCreate(name=name, value=value))
            return Step("variable", name, "created")
        if there.value != value and not self.dry_run:
            self.client.update_variable(VariableUpdate(name=name, value=value))
        return Step("variable", name, "unchanged" if there.value == value else "updated")

    def block(self) -> UUID | None:
        """Return the webhook that is there already, so that what it is sent is renewed."""
        try:
            return self.client.read_block_document_by_name(BLOCK, "webhook").id
        except ObjectNotFound:
            return None

    def webhook(self, url: str) -> tuple[UUID, Step]:
        """Save the address of the webhook."""
        try:
            there = self.client.read_block_document_by_name(BLOCK, "webhook")
        except ObjectNotFound:
            block = uuid4() if self.dry_run else webhook(url)  # to say which automations follow
            return block, Step("webhook", BLOCK, "created")
        same = there.data.get("url") == url
        if not same and not self.dry_run:
            webhook(url)
        return there.id, Step("webhook", BLOCK, "unchanged" if same else "updated")

    def automation(self, wanted: AutomationCore) -> Step:
        """Make or renew an automation; one that somebody switched off stays off."""
        there = self.client.read_automations_by_name(wanted.name)
        if not there:
            if not self.dry_run:
                self.client.create_automation(wanted)
            return Step("automation", wanted.name, "created")
        wanted.enabled = there[0].enabled
        same = _said(there[0]) == _said(wanted)
        if not same and not self.dry_run:
            self.client.update_automation(there[0].id, wanted)
        return Step("automation", wanted.name, "unchanged" if same else "updated")

    def deployments(self) -> dict[str, DeploymentResponse]:
        """Return those of the wanted deployments that are there."""
        found = {}
        for name in wanted_deployments():
            with suppress(ObjectNotFound):
                found[name] = self.client.read_deployment_by_name(name)
        return found

    def keep_schedules(self, before: Mapping[str, DeploymentResponse]) -> None:
        """Leave a schedule on that somebody switched on: deploying switches it off again."""
        for name, old in before.items():
            on = {str(one.schedule) for one in old.schedules if one.active}
            new = self.client.read_deployment_by_name(name)
            for one in new.schedules:
                if str(one.schedule) in on and not one.active:
                    self.client.update_deployment_schedule(new.id, one.id, active=True)

    def deployed(self, before: Mapping[str, DeploymentResponse]) -> list[Step]:
        """Say what became of the deployments."""
        after = self.deployments()
        missing = set(wanted_deployments()) - set(after)
        if missing:
            raise OperationsError(f"prefect deploy left out {', '.join(sorted(missing))}.")
        changed = {name: is_changed(old, after[name]) for name, old in before.items()}
        return _deployments(changed)

    def remember(self, steps: Sequence[Step]) -> None:
        """Write down on the server what was made, now or at an earlier time."""
        if self.dry_run:
            return
        made = self._made()
        made += [[one.kind, one.name] for one in steps if one.done == "created"]
        listed = [list(one) for one in dict.fromkeys(map(tuple, made))]
        self.variable(MADE, listed)

    def _made(self) -> list[list[str]]:
        known = self.client.read_variable_by_name(MADE)
        listed: list[list[str]] = known.value if known else []  # type: ignore[assignment]  # ours
        return listed

    def undo(self) -> list[Step]:
        """Remove what was made, the last first."""
        made = self._made()
        steps = [self._removed(kind, name) for kind, name in reversed(made)]
        if made and not self.dry_run:
            self.client.delete_variable_by_name(MADE)
        return steps

    def _removed(self, kind: str, name: str) -> Step:
        remove = {
            "pool": self.client.delete_work_pool,
            "variable": self.client.delete_variable_by_name,
            "automation": self._remove_automation,
            "webhook": self._remove_webhook,
            "deployment": self._remove_deployment,
        }[kind]
        try:
            if not self.dry_run:
                remove(name)
        except ObjectNotFound:
            return Step(kind, name, "gone already")
        return Step(kind, name, "removed")

    def _remove_automation(self, name: str) -> None:
        for one in self.client.read_automations_by_name(name):
            self.client.delete_automation(one.id)

    def _remove_webhook(self, name: str) -> None:
        self.client.delete_block_document(
            self.client.read_block_document_by_name(name, "webhook").id
        )

    def _remove_deployment(self, name: str) -> None:
        self.client.delete_deployment(self.client.read_deployment_by_name(name).id)


def _is_set_up(pool: WorkPool) -> bool:
    """Return whether anybody has changed a pool from what a worker makes by itself."""
    default = ProcessWorker.get_default_base_job_template()
    return pool.base_job_template != default or pool.concurrency_limit is not None


def _said(automation: AutomationCore) -> dict[str, Any]:
    """Return what makes two automations the same."""
    said = automation.model_dump(mode="json", include=set(AutomationCore.model_fields))
    said["trigger"].pop("id", None)
    return said


def _would_deploy(before: Mapping[str, DeploymentResponse], renewed: Set[str]) -> list[Step]:
    listed = wanted_deployments()
    return _deployments(
        {name: would_change(listed[name], old, renewed) for name, old in before.items()}
    )


def _deployments(changed: Mapping[str, bool]) -> list[Step]:
    """Return the steps of the deployments; those that were not there before are created."""
    done = {name: "updated" if is_so else "unchanged" for name, is_so in changed.items()}
    return [Step("deployment", name, done.get(name, "created")) for name in wanted_deployments()]
