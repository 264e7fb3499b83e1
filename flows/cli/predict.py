"""``signetflow predict``: cells on slides and images, by a stored checkpoint."""

from __future__ import annotations

from pathlib import Path  # typer reads it at run time
from typing import Annotated

import typer

from flows.cli.cluster import cluster_at
from flows.cli.output import JsonOption, WorkspaceOption, progress, say, write_json


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("predict")(predict)


def predict(
    images: Annotated[
        list[Path], typer.Argument(help="Slides or images.", exists=True, dir_okay=False)
    ],
    output: Annotated[Path, typer.Option(help="Folder for one GeoJSON per image.")],
    checkpoint: Annotated[
        str, typer.Option(help="First letters of a checkpoint in the workspace, from the table.")
    ],
    mpp: Annotated[
        float | None,
        typer.Option(help="Micrometres per pixel of all files, in place of what they say."),
    ] = None,
    gz: Annotated[
        bool, typer.Option("--gz", help="Write .geojson.gz; QuPath opens it from version 0.4 on.")
    ] = False,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Of the scheduler of a Dask cluster, such as tcp://10.0.0.5:8786: its workers "
            "look for tissue, and for cells where the network has looked; the network stays here. "
            "They see the workspace and the files under the same paths. The results are the same.",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Find cells on slides or images and write them as GeoJSON that QuPath opens.

    The checkpoint's own settings decide scale, windows and candidate floor. In QuPath, open the
    slide and drop its file onto it, or choose File > Import objects from file: the cells are
    detections with their score.

    Example: signetflow predict new/a.svs new/b.svs --checkpoint 7c1e --output found
    """
    from flows.cli.running import workspace_at
    from flows.predict import predict_files

    cluster = cluster_at(dask)
    at = workspace_at(workspace)
    with progress("predicting") as advance:
        written = predict_files(
            at, checkpoint, images, output, mpp=mpp, compressed=gz, dask=cluster, progress=advance
        )
    if as_json:
        write_json({"files": [{"path": str(path), "n_cells": n} for path, n in written.items()]})
        return
    for path, n_cells in written.items():
        say(f"{path}: {n_cells} cells")
