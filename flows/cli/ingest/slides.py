"""``ingest slides``: slides and images without annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.cli.ingest.frame import (
    AddOption,
    AllowAlikeOption,
    Choice,
    GroupOption,
    NameOption,
    SeedOption,
    StrictOption,
    ingest,
    name_of,
)
from flows.cli.output import JsonOption, WorkspaceOption


def register(kinds: typer.Typer) -> None:
    """Add the command."""
    kinds.command("slides")(slides)


def slides(  # one per option
    path: Annotated[Path, typer.Argument(help="Slide or image, or a folder of them.")],
    role: Annotated[
        Literal["negative", "unlabelled"],
        typer.Option(help="negative: guaranteed free of the target. unlabelled: nobody looked."),
    ],
    name: NameOption = None,
    mpp: Annotated[
        float | None,
        typer.Option(help="Micrometres per pixel, in place of what the files say."),
    ] = None,
    seed: SeedOption = 0,
    group_by: GroupOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    allow_alike: AllowAlikeOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Read slides and images that carry no annotations.

    Example: signetflow ingest slides data/normal --role negative --name nuclei --add
    """
    from models.annotations import Role
    from storage.datasets.slide_folder import SlideFolderReader

    reader = SlideFolderReader(path, Role(role), mpp)
    named = name or name_of(path)
    chosen = Choice(named, 0.0, seed, group_by, add, strict, workspace, as_json, allow_alike)
    return ingest(reader, chosen)
