"""``signetflow migrate``: bring a workspace of an older signetflow to today's formats."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.output import JsonOption, WorkspaceOption, progress, say, write_json

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what is to be done.")]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("migrate")(migrate)


def migrate(
    workspace: WorkspaceOption = None, *, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Bring a workspace that an older signetflow wrote to today's formats.

    Every other command says when that is needed. Nothing may run in the workspace meanwhile; a
    migration that was interrupted goes on when it is started again. An older signetflow cannot
    read the workspace afterwards.

    Example: signetflow migrate --dry-run --workspace ./workspace
    """
    from flows.cli.running import workspace_at
    from storage.migration import migrate as bring_up
    from storage.migration import outdated

    at = workspace_at(workspace)
    if dry_run:
        found = outdated(at)
    else:
        with progress("migrating") as advance:
            found = bring_up(at, advance)
    if as_json:
        artefacts = [str(ref) for ref in found.artefacts]
        write_json({"dry_run": dry_run, "artefacts": artefacts, "ledger": found.ledger})
        return
    if not found:
        say(f"{at.root}: everything is in today's formats.")
        return
    what = f"{len(found.artefacts)} artefacts" + " and the ledger" * found.ledger
    say(f"{at.root}: {what} {'are to be migrated' if dry_run else 'migrated'}.")
