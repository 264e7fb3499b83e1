"""``signetflow labels export``: one version for other tools."""

from __future__ import annotations

from pathlib import Path  # typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from flows.cli.cluster import DaskOption, cluster_at
from flows.cli.labels.chosen import SHORT, VersionArgument, version_ref, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, progress, say, write_json
from models.errors import WrongUseError

if TYPE_CHECKING:
    from models.runtime_settings import DaskSettings
    from storage.labels.export import Exported
    from storage.labels.store import LabelVersion
    from storage.layout import Workspace

Format: TypeAlias = Literal["geojson", "coco", "ome-zarr"]


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("export")(export)


def export(
    version: VersionArgument,
    output: Annotated[Path, typer.Option("--output", help="Folder to write to.", file_okay=False)],
    format: Annotated[  # noqa: A002  # the name of the option
        Format,
        typer.Option(
            "--format",
            help="geojson: a file per slide, for QuPath. coco: one file. ome-zarr: the label "
            "images themselves, a folder per region.",
        ),
    ] = "geojson",
    gz: Annotated[
        bool, typer.Option("--gz", help="Write .geojson.gz; QuPath opens it from version 0.4 on.")
    ] = False,
    dask: DaskOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Write one version for other tools.

    Every cell says where it comes from; a person's cell has no score. GeoJSON and COCO are in
    level-0 pixels. GeoJSON also holds the regions, as locked rectangles that signetflow ingest
    geojson reads again; in QuPath, drop the file onto its slide, or choose File > Import objects
    from file. OME-Zarr 0.5 holds, for each region, labels/cells and labels/classes as pyramids, in
    micrometres where the slide has a pixel size.

    Example: signetflow labels export 3f2a91c0 --format geojson --output for_qupath
    """
    from storage.labels.store import open_version

    if gz and format != "geojson":
        raise WrongUseError("--gz compresses GeoJSON only. Give --format geojson, or leave it out.")
    if dask and format != "ome-zarr":
        raise WrongUseError("--dask writes OME-Zarr only. Give --format ome-zarr, or leave it out.")
    cluster = cluster_at(dask)
    at = workspace_at(workspace)
    found = open_version(at, version_ref(at, version))
    exported = _export(at, found, output, format, compressed=gz, dask=cluster)
    files = [str(path) for path in exported.files]
    if as_json:
        write_json({"version": found.info.digest, "files": files, "n_cells": exported.n_cells})
    else:
        what = files[0] if len(files) == 1 else f"{len(files)} {_called(format)} in {output}"
        say(f"{exported.n_cells} cells of version {found.info.digest[:SHORT]}: {what}")
    return 0


def _called(form: Format) -> str:
    return "regions" if form == "ome-zarr" else "files"


def _export(
    at: Workspace,
    version: LabelVersion,
    output: Path,
    form: Format,
    *,
    compressed: bool,
    dask: DaskSettings | None,
) -> Exported:
    from storage.labels.export import export_coco, export_geojson
    from storage.labels.export_regions import Ground

    with progress("export") as advance:
        if form == "coco":
            return export_coco(version, output, advance)
        ground = Ground.of(at, version)
        if form == "ome-zarr":
            from storage.labels.ome_zarr import export_ome_zarr

            return export_ome_zarr(version, output, advance, ground=ground, dask=dask)
        return export_geojson(version, output, advance, ground=ground, compressed=compressed)
