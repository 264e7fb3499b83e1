"""``signetflow labels show``: what is in one version and how it came about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.cli.labels.chosen import SHORT, VersionArgument, version_ref, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json

if TYPE_CHECKING:
    import typer

    from storage.labels.store import LabelVersion

REGIONS_SHOWN = 20


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("show")(show)


def show(
    version: VersionArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> int:
    """Show what is in one version and how it came about.

    Example: signetflow labels show 3f2a91c0
    """
    from storage.labels.store import open_version

    at = workspace_at(workspace)
    found = open_version(at, version_ref(at, version))
    by_round = _cells_by_round(found)
    if as_json:
        regions = {name: entry.to_json() for name, entry in found.entries.items()}
        write_json({**found.info.to_json(), "cells_by_round": by_round, "regions": regions})
    else:
        _tell(found, by_round)
    return 0


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
