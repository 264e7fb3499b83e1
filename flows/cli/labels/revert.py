"""``signetflow labels revert``: take back a round, a network or an origin."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from flows.cli.cluster import DaskOption, cluster_at
from flows.cli.labels.chosen import SHORT, VersionArgument, version_ref, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, progress, say, write_json


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("revert")(revert)


def revert(
    version: VersionArgument,
    round: Annotated[  # noqa: A002  # the name of the option
        int | None, typer.Option("--round", min=1, help="Cells that this round brought in.")
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Cells that this network found: first digits of its checkpoint."),
    ] = None,
    origin: Annotated[
        Literal["weak", "pseudo", "corrected"] | None, typer.Option(help="Cells of this origin.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="Cells of this stage: self, self_extra, cooperative.")
    ] = None,
    dask: DaskOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Take back what a round, a network or an origin brought in, and what grew from it.

    Makes a new version that grew from the given one; nothing is deleted. Given several options, a
    cell must agree with all of them. A cell that also grew from others stays, and so do all cells
    of a person.

    Example: signetflow labels revert 3f2a91c0 --round 3
    """
    from models.annotations import Origin
    from storage.labels.revert import What
    from storage.labels.revert import revert as take_back
    from storage.locks import shared

    cluster = cluster_at(dask)
    at = workspace_at(workspace)
    what = What(round, checkpoint, Origin[origin.upper()] if origin else None, stage)
    with shared(at), progress("revert") as advance:
        done = take_back(at, version_ref(at, version), what, advance, cluster)
    if as_json:
        write_json(
            {
                "version": done.ref.digest,
                "removed": done.n_removed,
                "kept": done.n_kept,
                "by_region": done.removed,
            }
        )
    elif not done.removed:
        say(f"Nothing to take back in version {done.ref.digest[:SHORT]}: no new version was made.")
    else:
        say(f"version {done.ref.digest[:SHORT]}: {done.n_removed} cells taken back in")
        say(
            f"{len(done.removed)} regions, {done.n_kept} kept. What changed: signetflow labels diff"
        )
    return 0
