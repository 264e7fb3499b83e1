"""``signetflow plan``: what a run would do."""

from __future__ import annotations

import math

import typer

from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json
from flows.cli.run import PresetArgument, SetOption


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("plan")(plan)


def plan(
    config: PresetArgument,
    settings: SetOption = None,
    workspace: WorkspaceOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show each stage of a run, finished or pending, with an estimate; run nothing.

    Estimates come from earlier stages of the same kind in this workspace. Rounds that may stop
    early are counted in full.
    """
    from flows.cli.running import workspace_at
    from flows.config import load_config
    from flows.planning import plan_of

    found = plan_of(load_config(config, tuple(settings or ())), workspace_at(workspace))
    seconds = [call.seconds for call in found.pending]
    known = [value for value in seconds if not math.isnan(value)]
    eta = sum(known) if len(known) == len(seconds) else None
    if as_json:
        stages = [
            {
                "stage": call.name, "label": call.label, "key": call.key or None,
                "state": "finished" if call.done else "pending", "seconds": call.seconds,
                "harm": call.harm or None,
            }
            for call in found.calls
        ]  # fmt: skip
        write_json(
            {
                "run": found.run_id, "pending": len(seconds), "eta_s": eta, "at_most": True,
                "stages": stages,
            }
        )  # fmt: skip
        return
    rows = [
        [call.label, call.name, "finished" if call.done else "pending", _time(call.seconds)]
        for call in found.calls
    ]
    table(f"run {found.run_id}", ["what", "stage", "state", "time"], rows)
    if not seconds:
        say("Nothing to do: every stage is finished.")
        return
    for call in found.pending:
        if call.harm:
            say(f"{call.label} must be done again: {call.harm}")
    unknown = len(seconds) - len(known)
    guess = f"about {_time(sum(known))}" + (f" and {unknown} stages never timed" * bool(unknown))
    say(f"At most {len(seconds)} of {len(found.calls)} stages are pending: {guess}.")
    say("Rounds that may stop early count in full, as does what stands on results that may stay.")


def _time(seconds: float) -> str:
    if math.isnan(seconds):
        return "?"
    return f"{seconds:.1f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
