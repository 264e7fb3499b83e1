"""``signetflow status``: what ran, what failed and how to go on."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json

if TYPE_CHECKING:
    import typer

    from storage.ledger import Ledger, RunRecord


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("status")(status)


def status(workspace: WorkspaceOption = None, *, as_json: JsonOption = False) -> None:
    """Show runs with their stages, what failed, and how to resume.

    A run that was killed still says running: the command that started it resumes it.
    """
    from flows.cli.running import workspace_at
    from storage.ledger import Ledger

    at = workspace_at(workspace)
    ledger = Ledger(at)
    runs = [_facts(ledger, run) for run in ledger.runs()]
    waiting = len(ledger.pending_events())
    if as_json:
        write_json({"workspace": str(at.root), "runs": runs, "events_waiting": waiting})
        return
    if not runs:
        say(f"{at.root}: no run yet. Start with: signetflow demo --workspace {at.root}")
        return
    table(
        f"runs in {at.root}",
        ["run", "name", "state", "started", "stages", "failed at"],
        [
            [
                run["run"][:8], run["name"], run["state"], run["started"],
                " ".join(f"{count} {state}" for state, count in sorted(run["stages"].items())),
                run["failed"][0]["label"] if run["failed"] else "-",
            ]
            for run in runs
        ],
    )  # fmt: skip
    for run in runs:
        for stage in run["failed"]:
            say(f"{run['run'][:8]} failed: {stage['label']}: {stage['message']}")
        if run["state"] != "completed":
            say(f"{run['run'][:8]} is not finished: run the command that started it again.")
    if waiting:
        say(f"{waiting} events wait for the tracking server; the next run delivers them.")


def _facts(ledger: Ledger, run: RunRecord) -> dict[str, Any]:
    stages = ledger.stages_of(run.run_id)
    failed = [
        {"label": stage.label, "message": stage.message}
        for stage in stages
        if stage.state == "failed"
    ]
    return {
        "run": run.run_id,
        "name": run.name,
        "dataset": run.config.get("dataset"),
        "state": run.state,
        "started": datetime.fromtimestamp(run.started, UTC).isoformat(timespec="seconds"),
        "stages": dict(Counter(stage.state for stage in stages)),
        "failed": failed,
        "message": run.message,
        "report": str(run.result) if run.result else None,
    }
