"""``signetflow ops status``: servers, pools, queue and workspace in one screen."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json
from flows.cli.status import duration, facts_json, left, size, standing_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    import typer

    from flows.dispatch import Dispatch, Dispatched, Pool
    from flows.facts import Facts, RunFacts
    from flows.gpus import Gpu
    from storage.layout import Workspace

N_RUNS = 5
"""Runs on the screen; all of them are in `signetflow status`."""
TIGHT_BYTES = 5 * 2**30


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("status")(status)


def status(workspace: WorkspaceOption = None, *, as_json: JsonOption = False) -> None:
    """Show in one screen what runs where, what waits, and what needs somebody.

    Asks the Prefect server at PREFECT_API_URL, MLflow at MLFLOW_TRACKING_URI, the driver of this
    host's GPUs and the workspace. What cannot be reached is said to be so; the rest is shown all
    the same. The lines at the end that begin with "!" need somebody; without any, all is well.

    Example: signetflow ops status --workspace /srv/signetflow
    """
    from flows.cli.running import workspace_at
    from flows.dispatch import look
    from flows.facts import facts_of
    from flows.gpus import gpus

    at = workspace_at(workspace)
    known, cards = look(), gpus()
    facts = facts_of(at, n_detailed=None if as_json else N_RUNS)
    facts = replace(facts, runs=facts.runs[:N_RUNS]) if not as_json else facts
    mlflow = _mlflow(at)
    needs = list(_needs(facts, known, mlflow))
    if as_json:
        answer: dict[str, Any] = {"at": _now(), "prefect": asdict(known), "mlflow": mlflow}
        answer |= {"gpus": [asdict(one) for one in cards], "needs": needs}
        write_json(answer | {"workspace": facts_json(facts)})
        return
    say(f"{_now()}  {at.root.absolute()}")
    say(f"prefect: {_server(known.url, known.problem, known.version)}")
    say(f"mlflow:  {_server(mlflow['url'], mlflow['problem'], mlflow['version'])}")
    _show_pools(known, cards)
    _show_queue(known)
    _show_workspace(facts)
    for need in needs:
        say(f"! {need}")
    if not needs:
        say("Nothing needs you.")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _server(url: str, problem: str, version: str | None) -> str:
    if problem:
        return f"{url}: {problem}" if url else f"not asked: {problem}"
    return f"ok, {url}" + (f", version {version}" if version else "")


def _mlflow(at: Workspace) -> dict[str, Any]:
    from storage.tracking.address import problem_reaching, server_version, shown, tracking_uri

    uri = tracking_uri(at)
    if uri == at.mlflow_uri:
        return {"url": "embedded in the workspace", "problem": "", "version": None}
    problem = problem_reaching(uri)
    version = None if problem else server_version(uri)
    return {"url": shown(uri), "problem": problem, "version": version}


def _show_pools(known: Dispatch, cards: tuple[Gpu, ...]) -> None:
    if known.problem:
        say("pools and queue: not known while Prefect is not")
    elif not known.pools:
        say("no pools: signetflow ops bootstrap makes them")
    else:
        columns = ["pool", "GPU", "worker", "runs now", "of", "since"]
        table("", columns, [_pool_row(one, known) for one in known.pools])
    for card in cards:
        say(str(card))


def _pool_row(pool: Pool, known: Dispatch) -> list[str]:
    here = [one for one in known.running if one.pool == pool.name]
    return [
        pool.name + (" (paused)" if pool.is_paused else ""),
        "?" if pool.gpu is None else pool.gpu or "none",
        ", ".join(pool.workers) or "none",
        ", ".join(f"{one.name} {one.flow_run[:8]} {one.state}" for one in here) or "-",
        ", ".join(one.deployment for one in here) or "-",
        ", ".join(_ago(one.since) for one in here) or "-",
    ]


def _show_queue(known: Dispatch) -> None:
    if known.problem:
        return
    elsewhere = [one for one in known.running if one.pool is None]
    for one in elsewhere:
        say(f"runs outside of pools: {_said(one)}")
    for one in known.late:
        say(f"late: {_said(one)}")
    for one in known.waiting:
        say(f"next: {_said(one)}")
    if not known.late and not known.waiting:
        say("queue: empty")
    for schedule in known.schedules:
        if not schedule.is_on:
            say(f"schedule of {schedule.deployment} is off ({schedule.says})")


def _said(one: Dispatched) -> str:
    pool = f" on {one.pool}" if one.pool else ""
    return f"{one.deployment} {one.name} {one.flow_run[:8]}{pool}, {one.state} {_ago(one.since)}"


def _ago(when: str | None) -> str:
    if when is None:
        return "?"
    seconds = time.time() - datetime.fromisoformat(when).timestamp()
    return f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"


def _show_workspace(facts: Facts) -> None:
    for run in facts.runs:
        say(_run_line(run))
    for line in standing_lines(facts):
        say(line)


def _run_line(run: RunFacts) -> str:
    said = run.to_json()
    words = [f"run {said['run'][:8]} {said['name']}: {run.state}"]
    if run.state == "completed":
        return f"{words[0]}, {_ago(said['finished'])}"
    if run.round:
        words.append(str(run.round))
    if run.n_left is not None:
        words.append(f"{left(run)} left")
    if run.at_work_on:
        words.append(f"now: {run.at_work_on}")
    return ", ".join(words)


def _needs(facts: Facts, known: Dispatch, mlflow: dict[str, Any]) -> Iterator[str]:
    """Yield what somebody has to look at, each with what to do."""
    yield from _needs_of_servers(known, mlflow)
    latest = {run.record.name: run for run in reversed(facts.runs)}  # it replaces those before
    for run in latest.values():
        yield from _needs_of_run(run, known)
    if facts.disk.free < TIGHT_BYTES:
        yield f"the disk has {size(facts.disk.free)} left: signetflow labels gc --dry-run"


def _needs_of_servers(known: Dispatch, mlflow: dict[str, Any]) -> Iterator[str]:
    if known.problem and os.environ.get("PREFECT_API_URL"):
        yield f"Prefect: {known.problem}; no run begins meanwhile: signetflow ops serve"
    if mlflow["problem"]:
        yield f"MLflow: {mlflow['problem']}; runs go on and tell it later: signetflow ops serve"
    for pool in known.pools:
        if pool.is_paused:
            yield f"pool {pool.name} is paused: prefect work-pool resume {pool.name}"
    wanted = {one.pool for one in (*known.late, *known.waiting)}
    for pool in known.pools:
        if pool.name in wanted and not pool.workers:
            yield (
                f"runs wait for pool {pool.name} and no worker is there: "
                f"prefect worker start --pool {pool.name} --limit 1"
            )
    for one in known.ended_badly:
        yield (
            f"{one.deployment} {one.state} {_ago(one.since)}: {one.message}; then "
            f"prefect flow-run retry {one.flow_run}"
        )


def _needs_of_run(run: RunFacts, known: Dispatch) -> Iterator[str]:
    name = run.record.run_id[:8]
    again = "run the command that started it again"
    if not known.problem:
        again = f"prefect deployment run resume/by-hand --param run={name}"
    if known.ended_badly:
        again = f"the retry of above, or {again}"
    for alarm in run.alarms:
        yield (
            f"run {name} ALARM: {alarm}. Look at its labels before they are used: 'The labels went "
            f"wrong' in docs/operations.md"
        )
    if run.state == "failed":
        yield f"run {name} failed: {run.record.message.rstrip('. ')}. Mend that, then {again}"
    if run.state == "stopped":
        yield f"run {name} was killed: {again}"
