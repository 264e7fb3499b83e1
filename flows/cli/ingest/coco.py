"""``ingest coco``: boxes and outlines in COCO form."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
from models.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Sequence


def register(kinds: typer.Typer) -> None:
    """Add the command."""
    kinds.command("coco")(coco)


def coco(  # one per option
    path: Annotated[
        Path,
        typer.Argument(
            help="JSON file, or a folder with annotations_coco.json, annotations.json or one "
            "instances*.json; images lie beside it or in its folder images."
        ),
    ],
    name: NameOption = None,
    role: Annotated[
        Literal["positive", "negative", "unlabelled"],
        typer.Option(help="Of images whose key role does not say it."),
    ] = "positive",
    class_name: Annotated[
        str | None, typer.Option("--class", help="Category to take.", show_default="all")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="key=value: only images with that value. May be repeated."),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="Micrometres per pixel of images without a key mpp.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the images, where they lie neither beside the JSON file nor in its "
            "folder images.",
            show_default="beside the JSON file",
        ),
    ] = None,
    hide: HideOption = 0.0,
    seed: SeedOption = 0,
    group_by: GroupOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    allow_alike: AllowAlikeOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Read boxes and outlines in COCO form.

    Polygons and masks in run lengths become outlines: of a cell in several pieces that of the
    largest, holes filled. Images may carry role (positive, negative, unlabelled), complete (true:
    every cell is annotated), slide, patient or case, organ, site and mpp.

    Example: signetflow ingest coco data/nuclei --where stain=he --hide 0.6 --name nuclei
    """
    from models.annotations import Role
    from storage.datasets.coco import CocoReader

    filters = _pairs(where or [])
    reader = CocoReader(path, Role(role), class_name, filters, mpp, images=images)
    named = name or name_of(path)
    chosen = Choice(named, hide, seed, group_by, add, strict, workspace, as_json, allow_alike)
    return ingest(reader, chosen)


def _pairs(where: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in where:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise WrongUseError(f"--where {text!r}: expected key=value, such as stain=he.")
        pairs[key] = value
    return pairs
