"""``signetflow labels``: which label versions there are, what is in them, and out of here."""

from __future__ import annotations

from pathlib import Path  # typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.cli.output import JsonOption, WorkspaceOption, progress, say, table, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.labels.schema import VersionInfo
    from storage.labels.store import LabelVersion
    from storage.layout import Workspace

SHORT = 8
"""Digits of a digest that people read."""
REGIONS_SHOWN = 20

VersionArgument = Annotated[
    str,
    typer.Argument(help="First digits of a version, or a tag; signetflow labels log lists them."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    verbs = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Look at label versions.\n\n"
        "Version 0 holds what a person drew. Each round of a run commits a new version that grew "
        "from the one before, in a chain of its own; a person's cells are in all of them.",
    )
    verbs.command("log")(log)
    verbs.command("show")(show)
    verbs.command("export")(export)
    app.add_typer(verbs, name="labels")


def log(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """List all versions, chain by chain, oldest first.

    Growth is how many cells there are more than in the version it grew from.

    Example: signetflow labels log
    """
    from storage.labels.log import log as all_versions

    at = _workspace(workspace)
    infos = all_versions(at)
    growth = _growth(infos)
    if as_json:
        listed = [{**info.to_json(), "growth": growth[info.digest]} for info in infos]
        write_json({"workspace": str(at.root), "versions": listed})
        return 0
    if not infos:
        say(f"No label versions in {at.root} yet. signetflow demo or signetflow run makes some.")
    columns = ["version", "round", "stage", "human", "found", "growth", "parent"]
    for chain in dict.fromkeys(info.chain for info in infos):
        rows = [_row(info, growth[info.digest]) for info in infos if info.chain == chain]
        table(f"chain {chain}", columns, rows)
    return 0


def show(
    version: VersionArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> int:
    """Show what is in one version and how it came about.

    Example: signetflow labels show 3f2a91c0
    """
    from storage.labels.store import open_version

    at = _workspace(workspace)
    found = open_version(at, _resolve(at, version))
    by_round = _cells_by_round(found)
    if as_json:
        regions = {name: entry.to_json() for name, entry in found.entries.items()}
        write_json({**found.info.to_json(), "cells_by_round": by_round, "regions": regions})
    else:
        _tell(found, by_round)
    return 0


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

    at = _workspace(workspace)
    found = open_version(at, _resolve(at, version))
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


def _workspace(root: Path | None) -> Workspace:
    from storage.layout import Workspace, default_root

    return Workspace(root or default_root())


def _resolve(at: Workspace, text: str) -> Any:  # noqa: ANN401  # a Ref; storage stays lazy
    from storage.labels.log import resolve

    return resolve(at, text)


def _growth(infos: Sequence[VersionInfo]) -> dict[str, float | None]:
    """Return how much each version grew, as a fraction of its parent's cells."""
    cells = {info.digest: sum(info.n_cells.values()) for info in infos}
    before = {info.digest: cells.get(info.parent or "", 0) for info in infos}
    return {one: cells[one] / before[one] - 1 if before[one] else None for one in cells}


def _row(info: VersionInfo, growth: float | None) -> list[str]:
    human = info.n_cells.get("human", 0)
    return [
        info.digest[:SHORT],
        str(info.round),
        info.stage,
        str(human),
        str(sum(info.n_cells.values()) - human),
        "" if growth is None else f"{growth:+.1%}",
        (info.parent or "")[:SHORT],
    ]


def _cells_by_round(version: LabelVersion) -> dict[str, int]:
    """Return how many cells each round brought in that are still there."""
    counts: dict[int, int] = {}
    for region_id in version.region_ids:
        for number in version.records(region_id).rounds.tolist():
            counts[number] = counts.get(number, 0) + 1
    return {str(number): counts[number] for number in sorted(counts)}


def _tell(version: LabelVersion, by_round: dict[str, int]) -> None:
    info = version.info
    rows = [
        ["version", info.digest],
        ["parent", info.parent or "none"],
        ["chain", info.chain],
        ["round and stage", f"{info.round} {info.stage}"],
        ["made", info.created],
        *([f"{origin} cells", str(count)] for origin, count in info.n_cells.items()),
        *([f"cells of round {number}", str(count)] for number, count in by_round.items()),
        *([name, str(value)] for name, value in _flat(info.parameters)),
    ]
    table(f"Label version {info.digest[:SHORT]}", ["", ""], rows)
    listed = [
        [name, *(str(entry.n_cells.get(origin, 0)) for origin in info.n_cells)]
        for name, entry in list(version.entries.items())[:REGIONS_SHOWN]
    ]
    table(f"{info.n_regions} regions", ["region", *info.n_cells], listed)
    if info.n_regions > REGIONS_SHOWN:
        say(f"and {info.n_regions - REGIONS_SHOWN} more; --json lists all.")


def _flat(values: Any, path: str = "") -> list[tuple[str, Any]]:  # noqa: ANN401  # JSON
    """Return nested parameters as dotted names."""
    if not isinstance(values, dict) or not values:
        return [(path, values)] if path else []
    return [
        pair
        for key, value in values.items()
        for pair in _flat(value, f"{path}.{key}" if path else str(key))
    ]
