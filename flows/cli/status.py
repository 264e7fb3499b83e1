"""``signetflow status``: what ran, what failed and how to go on."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json

if TYPE_CHECKING:
    import typer

    from flows.facts import Facts, RunFacts


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("status")(status)


def status(workspace: WorkspaceOption = None, *, as_json: JsonOption = False) -> None:
    """Show runs with their stages, what is left, what failed, and how to resume.

    "stopped" is a run that has not ended and that no process is at work on: it was killed. The time
    left is judged by stages of the same kind, and counts rounds that may end early in full.
    """
    from flows.cli.running import workspace_at
    from flows.facts import facts_of

    facts = facts_of(workspace_at(workspace))
    if as_json:
        write_json(facts_json(facts))
        return
    if not facts.runs:
        root = facts.at.root
        say(f"{root}: no run yet. Start with: signetflow demo --workspace {root}")
        return
    show_runs(f"runs in {facts.at.root}", facts.runs)
    for run in facts.runs:
        _tell(run)
    for line in standing_lines(facts):
        say(line)


def facts_json(facts: Facts) -> dict[str, Any]:
    """Return how a workspace stands, as JSON."""
    success, failure = facts.last("completed"), facts.last("failed")
    return {
        "workspace": str(facts.at.root),
        "runs": [one.to_json() for one in facts.runs],
        "last_success": success.to_json()["finished"] if success else None,
        "last_failure": failure.to_json()["finished"] if failure else None,
        "events_waiting": facts.events_waiting,
        "news_waiting": facts.news_waiting,
        "champion": asdict(facts.champion) if facts.champion else None,
        "disk": asdict(facts.disk),
    }


def show_runs(title: str, runs: tuple[RunFacts, ...]) -> None:
    """Print runs as a table."""
    rows = []
    for one in runs:
        said = one.to_json()
        rows.append(
            [
                said["run"][:8], said["name"], one.state, said["started"], str(one.round or "-"),
                " ".join(f"{count} {state}" for state, count in sorted(said["stages"].items())),
                left(one), one.failed[0]["label"] if one.failed else "-",
            ]
        )  # fmt: skip
    columns = ["run", "name", "state", "started", "round", "stages", "left", "failed at"]
    table(title, columns, rows)


def left(run: RunFacts) -> str:
    """Return what is left of a run as a reader takes it."""
    if run.n_left is None:
        return "-"
    guess = "?" if run.eta_s is None else f"about {duration(run.eta_s)}"
    return f"{run.n_left} stage{'s' * (run.n_left != 1)}, {guess}"


def duration(seconds: float) -> str:
    """Return a time span in its own unit."""
    for unit, size in (("days", 2 * 86400), ("h", 2 * 3600), ("min", 120)):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


def standing_lines(facts: Facts) -> list[str]:
    """Return last success, champion, disk and what waits for MLflow, a line for each."""
    success, champion, disk = facts.last("completed"), facts.champion, facts.disk
    lines = ["last success: none yet"]
    if success:
        lines = [f"last success: {success.record.run_id[:8]} at {success.to_json()['finished']}"]
    if champion:
        lines.append(f"champion: {champion.checkpoint[:12]} since {champion.at}, by {champion.by}")
    used = "" if disk.used is None else f"; the workspace takes {size(disk.used)}"
    lines.append(f"disk: {size(disk.free)} of {size(disk.total)} free{used}")
    if facts.events_waiting:
        lines.append(
            f"{facts.events_waiting} events wait for the tracking server; the next run delivers "
            f"them."
        )
    if facts.news_waiting:
        lines.append(
            f"not told to people yet, for Prefect was away: {facts.news_waiting}; the next run "
            f"tells it, or: signetflow track deliver"
        )
    return lines


def size(n_bytes: int) -> str:
    """Return a size in GiB, a small one in MiB."""
    return f"{n_bytes / 2**30:.1f} GiB" if n_bytes >= 2**30 else f"{n_bytes / 2**20:.0f} MiB"


def _tell(run: RunFacts) -> None:
    """Say what a run needs somebody for."""
    name = run.record.run_id[:8]
    for alarm in run.alarms:
        say(f"{name} ALARM: {alarm}")
    for stage in run.failed:
        say(f"{name} failed: {stage['label']}: {stage['message']}")
    if run.at_work_on:
        say(f"{name} is at work on: {run.at_work_on}")
    elif run.state != "completed":
        say(f"{name} is not finished: run the command that started it again.")
