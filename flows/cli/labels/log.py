"""``signetflow labels log``: all versions, chain by chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.cli.labels.chosen import SHORT, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typer

    from storage.labels.schema import VersionInfo


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("log")(log)


def log(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """List all versions, chain by chain, oldest first.

    Growth is how many cells there are more than in the version it grew from.

    Example: signetflow labels log
    """
    from storage.labels.log import log as all_versions

    at = workspace_at(workspace)
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
