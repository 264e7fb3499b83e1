"""``signetflow labels log``: every version as a graph, who grew from whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.labels.chosen import version_ref, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, say, write_json

if TYPE_CHECKING:
    from storage.labels.log import Logged


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("log")(log)


def log(
    chain: Annotated[
        str | None, typer.Option(help="Only chains whose name contains this, such as /self/.")
    ] = None,
    number: Annotated[int | None, typer.Option("--round", help="Only this round.", min=0)] = None,
    stage: Annotated[
        str | None, typer.Option(help="Only this stage: ingest, self, cooperative, import, ...")
    ] = None,
    of: Annotated[
        str | None, typer.Option(help="Only this version and all that it grew from.")
    ] = None,
    only_tagged: Annotated[
        bool, typer.Option("--tagged", help="Only versions with a tag.")
    ] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show all versions as a graph, oldest first: what grew from what, in which chain.

    Growth is how many cells there are more than in the version it grew from. The model is the
    network whose predictions made the version, with the first digits of its checkpoint. A version
    below a parent that a filter hides begins a graph of its own, with ~ before it.

    Examples: signetflow labels log; signetflow labels log --of gold; signetflow labels log
    --chain cooperative --round 1 --json
    """
    from storage.labels.log import ancestry, history

    at = workspace_at(workspace)
    every = history(at)
    line = {info.digest for info in ancestry(at, version_ref(at, of))} if of else None
    shown = [
        one for one in every
        if (chain is None or chain in one.info.chain)
        and (number is None or one.info.round == number)
        and (stage is None or one.info.stage == stage)
        and (line is None or one.info.digest in line)
        and (one.tags or not only_tagged)
    ]  # fmt: skip
    if as_json:
        listed = [one.to_json() for one in shown]
        write_json({"workspace": str(at.root), "n_versions": len(every), "versions": listed})
    elif not every:
        say(f"No label versions in {at.root} yet. signetflow demo or signetflow run makes some.")
    else:
        _tell(shown, len(every))
    return 0


def _tell(shown: list[Logged], n_versions: int) -> None:
    from flows.cli.labels.graph import graph_lines

    for line in graph_lines(shown):
        say(line)
    if len(shown) < n_versions:
        say(f"{len(shown)} of {n_versions} versions; the filters hide the others.")
