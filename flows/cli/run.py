"""``signetflow run``: run or resume the retraining that a preset describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import JsonOption, WorkspaceOption, say, write_json

if TYPE_CHECKING:
    from storage.layout import Ref, Workspace

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one setting: a.b=value. May be given several times."),
]
PresetArgument = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A YAML preset, or the name of a shipped one.")
]

VerifyOption = Annotated[
    bool, typer.Option("--verify", help="Read every byte of what was made before, first.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("run")(run)


def run(
    config: PresetArgument,
    settings: SetOption = None,
    workspace: WorkspaceOption = None,
    *,
    verify: VerifyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run or resume the retraining that a preset describes.

    What was done before is reused: the same command after a failure goes on where it stopped, and
    unchanged inputs end as "nothing new". What was deleted or altered meanwhile is named and made
    again; a file of the same size and time is taken to be intact, unless --verify reads it.
    Ingest a dataset first (signetflow ingest --help).

    Example: signetflow run demo --set seeds=[1,2] --workspace ./workspace
    """
    from flows.cli.running import execute, workspace_at
    from flows.config import load_config

    at = workspace_at(workspace)
    chosen = load_config(config, tuple(settings or ()))
    plan, report, was_there = execute(chosen, at, verify=verify)
    show_result(at, plan.run_id, report, was_there=was_there, as_json=as_json)


def show_result(at: Workspace, run_id: str, report: Ref, *, was_there: bool, as_json: bool) -> None:
    """Print the table of a run and where its report lies."""
    from flows.cli.running import show_table
    from tasks.report import PAGE, read_table

    rows = read_table(at, report)
    page = at.root / "reports" / run_id / PAGE
    if as_json:
        write_json({"run": run_id, "nothing_new": was_there, "report": str(page), "rows": rows})
        return
    if was_there:
        say("Nothing new: every stage of this run is done and its artefacts are intact.")
    show_table(rows)
    say(f"report: {page}")
    say(f"labels: signetflow labels log --workspace {at.root}")
