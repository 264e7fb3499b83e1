"""``signetflow labels export``: one version for other tools."""

from __future__ import annotations

from pathlib import Path  # typer reads the annotations when it runs
from typing import Annotated, Literal

import typer

from flows.cli.labels.chosen import SHORT, VersionArgument, version_ref, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, progress, say, write_json


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("export")(export)


def export(
    version: VersionArgument,
    output: Annotated[Path, typer.Option("--output", help="Folder to write to.", file_okay=False)],
    format: Annotated[  # noqa: A002  # the name of the option
        Literal["geojson", "coco"],
        typer.Option("--format", help="geojson: a file per slide, for QuPath. coco: one file."),
    ] = "geojson",
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write one version for other tools, in level-0 pixels.

    Every cell says where it comes from; a person's cell has no score.

    Example: signetflow labels export 3f2a91c0 --format geojson --output for_qupath
    """
    from storage.labels.export import export_coco, export_geojson
    from storage.labels.store import open_version

    at = workspace_at(workspace)
    found = open_version(at, version_ref(at, version))
    write = {"geojson": export_geojson, "coco": export_coco}[format]
    with progress("export") as advance:
        exported = write(found, output, advance)
    files = [str(path) for path in exported.files]
    if as_json:
        write_json({"version": found.info.digest, "files": files, "n_cells": exported.n_cells})
    else:
        what = files[0] if len(files) == 1 else f"{len(files)} files in {output}"
        say(f"{exported.n_cells} cells of version {found.info.digest[:SHORT]}: {what}")
    return 0
