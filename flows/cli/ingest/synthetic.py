"""``ingest synthetic``: made-up slides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.ingest.frame import (
    AddOption,
    AllowAlikeOption,
    Choice,
    GroupOption,
    HideOption,
    NameOption,
    SeedOption,
    StrictOption,
    ingest,
    name_of,
)
from flows.cli.output import JsonOption, WorkspaceOption


def register(kinds: typer.Typer) -> None:
    """Add the command."""
    kinds.command("synthetic")(synthetic)


def synthetic(  # one per option
    path: Annotated[Path, typer.Argument(help="Folder that holds a made-up dataset.")],
    name: NameOption = None,
    hide: HideOption = 0.0,
    seed: SeedOption = 0,
    group_by: GroupOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    allow_alike: AllowAlikeOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Read made-up slides, as signetflow demo writes them.

    Example: signetflow ingest synthetic workspace/synthetic --name synthetic
    """
    from storage.datasets.synthetic.reader import SyntheticReader

    named = name or name_of(path)
    chosen = Choice(named, hide, seed, group_by, add, strict, workspace, as_json, allow_alike)
    return ingest(SyntheticReader(path), chosen)
