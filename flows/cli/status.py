"""``signetflow status``: what ran, what failed and how to go on."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
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
    from storage.champion import standing
    from storage.ledger import Ledger

    at = workspace_at(workspace)
    ledger = Ledger(at)
    champion = standing(at, "champion")
    runs = [_facts(ledger, run) for run in ledger.runs()]
    waiting = len(ledger.pending_events())
    if as_json:
        answer = {"workspace": str(at.root), "runs": runs, "events_waiting": waiting}
        write_json(answer | {"champion": asdict(champion) if champion else None})
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
        _tell(run)
    if champion:
        say(f"champion: {champion.checkpoint[:12]} since {champion.at}, by {champion.by}")
    if waiting:
        say(f"{waiting} events wait for the tracking server; the next run delivers them.")


def _tell(run: dict[str, Any]) -> None:
    """Say what a run needs somebody for."""
    for alarm in run["alarms"]:
        say(f"{run['run'][:8]} ALARM: {alarm}")
    for stage in run["failed"]:
        say(f"{run['run'][:8]} failed: {stage['label']}: {stage['message']}")
    if run["state"] != "completed":
        say(f"{run['run'][:8]} is not finished: run the command that started it again.")


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
        "alarms": _alarms(ledger, run),
        "report": str(run.result) if run.result else None,
    }


def _alarms(ledger: Ledger, run: RunRecord) -> list[str]:
    """Return the alarms of a run: from its report, or from its cards while it has none."""
    from models.errors import IntegrityError
    from storage.checkpoints import load_card
    from tasks.lineage import alarms_in
    from tasks.report import read_lineage

    try:
        if run.result:
            return list(alarms_in(read_lineage(ledger.at, run.result)))
        made = ((one.label, ledger.recorded(one.key)) for one in ledger.stages_of(run.run_id))
        return [
            f"{label}: {alarm}"
            for label, record in made
            if record and record.name == "weigh"
            for alarm in load_card(ledger.at, record.ref)["alarms"]
        ]
    except IntegrityError:
        return []  # what is damaged is named by the next run and by labels verify
