"""``signetflow labels gc``: make room without breaking a chain."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.labels.chosen import workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json

SHOWN = 20


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("gc")(gc)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    keep_runs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How many of the latest runs keep all that they made.",
            show_default="all of them",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Remove what nothing needs: leftovers of killed runs, artefacts that no kept run refers to.

    Tagged versions, every champion and challenger there ever was, and all that they grew from stay;
    so does everything of runs that are not completed. What goes is made again when it is asked for.
    Needs the workspace for itself.

    Example: signetflow labels gc --keep-runs 10 --dry-run
    """
    from storage.collecting import collect

    done = collect(workspace_at(workspace), keep_runs=keep_runs, dry_run=dry_run)
    if as_json:
        listed = [{"what": one.what, "bytes": one.bytes_freed} for one in done.leftovers]
        write_json(
            {
                "dry_run": dry_run,
                "kept": done.n_kept,
                "bytes_freed": done.bytes_freed,
                "removed": listed,
            }
        )
        return 0
    verb = "would go" if dry_run else "went"
    if done.leftovers:
        rows = [[one.what, f"{one.bytes_freed / 2**20:.1f}"] for one in done.leftovers[:SHOWN]]
        table(f"what {verb}", ["what", "MiB"], rows)
        if len(done.leftovers) > SHOWN:
            say(f"... and {len(done.leftovers) - SHOWN} more, all in --json")
    say(
        f"{len(done.leftovers)} {verb}, {done.bytes_freed / 2**20:.1f} MiB; "
        f"{done.n_kept} artefacts stay."
    )
    return 0
