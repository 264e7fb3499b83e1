"""``ingest masks``: images with label images, or with a mask for each cell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
    kinds.command("masks")(masks)


def masks(  # one per option
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder with folders images and labels (or masks), or with files whose names end "
            "in _labels or _masks."
        ),
    ],
    name: NameOption = None,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="Some cells were not drawn. Without this, what is drawn is the truth."
        ),
    ] = False,
    without_labels: Annotated[
        Literal["refuse", "unlabelled"],
        typer.Option(help="What an image without labels is."),
    ] = "refuse",
    labels: Annotated[
        str | None,
        typer.Option(
            help="Name of the folders that hold labels.",
            show_default="labels, masks, instances and the like",
        ),
    ] = None,
    mpp: Annotated[float | None, typer.Option(help="Micrometres per pixel of the images.")] = None,
    hide: HideOption = 0.0,
    seed: SeedOption = 0,
    group_by: GroupOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    allow_alike: AllowAlikeOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Read cells drawn pixel by pixel.

    Either one label image for each image (png or tiff, 8 to 32 bits, 0 is background, each cell has
    a value of its own), or, as in the Data Science Bowl of 2018, a folder for each image with one
    mask for each cell. Boxes are tight: from the first pixel of a cell to one behind its last.

    Example: signetflow ingest masks data/nuclei --hide 0.6 --name nuclei
    """
    from storage.datasets.label_masks import LabelMaskReader, MaskOptions

    options = MaskOptions(not partial, without_labels, labels, mpp)
    reader = LabelMaskReader(path, options)
    named = name or name_of(path)
    chosen = Choice(named, hide, seed, group_by, add, strict, workspace, as_json, allow_alike)
    return ingest(reader, chosen)
