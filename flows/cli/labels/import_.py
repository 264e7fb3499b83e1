"""``signetflow labels import``: a person's corrections become a new version."""

from __future__ import annotations

import getpass
from pathlib import Path  # typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.cluster import DaskOption, cluster_at
from flows.cli.labels.chosen import SHORT, version_ref, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, say, write_json

if TYPE_CHECKING:
    from storage.labels.review import Review

SHOWN = 10


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("import")(import_)


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(help="Reviewed GeoJSON of a labels export.", exists=True, dir_okay=False),
    ],
    onto: Annotated[
        str | None,
        typer.Option(
            help="The version to correct.", show_default="the one that the files were exported from"
        ),
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option(help="Who reviewed.", show_default="your login")
    ] = None,
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Cells that are not in the files stay.")
    ] = False,
    dask: DaskOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Make a person's corrections a new label version.

    Export a version for QuPath, correct it there (draw, move, delete; the class Ignore* says: no
    cell), export it again under the same name, and give that here. Cells are matched by id. What
    the person drew or moved is a person's cell from then on, which no later round changes. The
    same file again changes nothing.

    Example: signetflow labels import reviewed/slide-3.svs.geojson --reviewer "Dr. Ito"
    """
    from storage.labels.review import Request, import_review
    from storage.locks import shared

    cluster = cluster_at(dask)
    at = workspace_at(workspace)
    request = Request(
        reviewer or getpass.getuser(),
        version_ref(at, onto) if onto else None,
        keep_missing,
        dask=cluster,
    )
    with shared(at):
        done = import_review(at, files, request)
    if as_json:
        write_json(done.to_json())
    else:
        _tell(done)
    return 0


def _tell(done: Review) -> None:
    if not (done.added or done.moved or done.removed):
        say(f"Nothing new: version {done.ref.digest[:SHORT]} holds all of it.")
    else:
        say(f"version {done.ref.digest[:SHORT]}: {done.added} cells added, {done.moved} moved,")
        say(f"{done.removed} removed, {done.unchanged} as they were; {done.covered} found cells")
        say("gave way to what was drawn.")
    for one in done.conflicts[:SHOWN]:
        say(f"conflict: {one['region']} cell {one['cell']} {one['what']} since the export")
    for one in done.left_out[:SHOWN]:
        say(f"left out: {one['object']}: {one['reason']}")
    more = max(0, len(done.conflicts) - SHOWN) + max(0, len(done.left_out) - SHOWN)
    if more:
        say(f"... and {more} more, all in --json")
