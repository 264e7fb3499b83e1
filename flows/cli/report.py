"""``signetflow report``: the table of a run and where its page lies."""

from __future__ import annotations

from pathlib import Path  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import JsonOption, WorkspaceOption
from flows.cli.run import show_result
from models.errors import NotFoundError

if TYPE_CHECKING:
    from storage.layout import Workspace
    from storage.ledger import RunRecord


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("report")(report)


def report(
    run: Annotated[
        str, typer.Argument(help="First letters of a run id, or latest.", metavar="RUN")
    ] = "latest",
    output: Annotated[
        Path | None, typer.Option(help="Copy the page to this file, to send it to someone.")
    ] = None,
    workspace: WorkspaceOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show the table of a finished run and where its report page lies."""
    import shutil

    from flows.cli.running import workspace_at
    from storage.artefacts import opened
    from tasks.report import PAGE

    at = workspace_at(workspace)
    found = finished_run(at, run)
    if found.result is None:
        raise NotFoundError(f"run {found.run_id} has no report: it is {found.state}")
    if output:
        shutil.copyfile(opened(at, found.result) / PAGE, output)
    show_result(at, found.run_id, found.result, was_there=False, as_json=as_json)


def finished_run(at: Workspace, run: str) -> RunRecord:
    """Return the completed run whose id begins so.

    Raises
    ------
    NotFoundError
        If none or several do.
    """
    from storage.ledger import Ledger

    completed = [one for one in Ledger(at).runs() if one.result]
    if run == "latest":
        matching = completed[:1]
    else:
        matching = [one for one in completed if one.run_id.startswith(run)]
    if len(matching) == 1:
        return matching[0]
    known = ", ".join(f"{one.run_id[:8]} ({one.name})" for one in completed) or "none"
    raise NotFoundError(f"{at.root}: {len(matching)} finished runs match {run!r}; known: {known}")
