"""``ingest voc`` and ``ingest digestpath``: images with boxes in Pascal VOC XML files."""

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

ClassOption = Annotated[
    list[str] | None,
    typer.Option("--class", help="Class to take; repeat it to take several as one.",
                 show_default="all"),
]  # fmt: skip
MppOption = Annotated[float | None, typer.Option(help="Micrometres per pixel of the images.")]
ImageByOption = Annotated[
    Literal["both", "stem", "name"],
    typer.Option(
        help="How an XML file's image is found: by the stem they share, by the filename in the "
        "XML, or by both, refusing those that contradict each other.",
    ),
]


def register(kinds: typer.Typer) -> None:
    """Add the commands."""
    kinds.command("voc")(voc)
    kinds.command("digestpath")(digestpath)


def voc(  # one per option
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder with XML files and images below it: Annotations and JPEGImages, or XML "
            "files beside their images."
        ),
    ],
    name: NameOption = None,
    role: Annotated[
        Literal["positive", "negative", "unlabelled"],
        typer.Option(help="Of images with an XML file."),
    ] = "positive",
    class_names: ClassOption = None,
    complete: Annotated[
        bool,
        typer.Option("--complete", help="Every cell of the class has a box: they are the truth."),
    ] = False,
    without_xml: Annotated[
        Literal["refuse", "unlabelled", "negative"],
        typer.Option(help="What an image without an XML file is."),
    ] = "refuse",
    image_by: ImageByOption = "both",
    mpp: MppOption = None,
    hide: HideOption = 0.0,
    seed: SeedOption = 0,
    group_by: GroupOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    allow_alike: AllowAlikeOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Read boxes in Pascal VOC form, one XML file for each image.

    xmin ymin xmax ymax are taken as they stand: the box covers x from xmin up to, and without,
    xmax. No pixel is added or taken away, as some programs do; where yours counts from 1 or
    includes xmax, boxes are off by one pixel. Objects marked difficult or truncated are taken, and
    counted.

    Example: signetflow ingest voc data/blood --class RBC --name red-cells
    """
    from models.annotations import Role
    from storage.datasets.voc import VocOptions, VocReader

    options = VocOptions(Role(role), tuple(class_names or ()), complete, without_xml, image_by, mpp)
    reader = VocReader(path, options)
    named = name or name_of(path)
    chosen = Choice(named, hide, seed, group_by, add, strict, workspace, as_json, allow_alike)
    return ingest(reader, chosen)


def digestpath(  # one per option
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder with sig-train-pos and sig-train-neg, or with others whose names say "
            "positive (pos) and negative (neg)."
        ),
    ],
    name: NameOption = None,
    class_names: ClassOption = None,
    without_xml: Annotated[
        Literal["refuse", "unlabelled"],
        typer.Option(help="What an image of a positive folder without an XML file is."),
    ] = "refuse",
    mpp: MppOption = None,
    hide: HideOption = 0.0,
    seed: SeedOption = 0,
    group_by: GroupOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    allow_alike: AllowAlikeOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Read the signet ring cells of DigestPath 2019, and folders arranged like them.

    Positive folders hold images with an XML file of boxes beside each, incomplete as they are;
    negative folders hold images free of signet ring cells. Boxes are taken as they stand, as by
    ingest voc. File names of the challenge say slide and patient, which no fold then tears apart:
    2018_64982_1-3_2019-02-25 21_57_36-lv0-33516-59515-2003-2010.jpeg is of patient 2018_64982.

    Example: signetflow ingest digestpath data/digestpath --mpp 0.25 --name signet-rings
    """
    from storage.datasets.digestpath import DigestPathReader
    from storage.datasets.voc import VocOptions

    options = VocOptions(class_names=tuple(class_names or ()), without_xml=without_xml, mpp=mpp)
    reader = DigestPathReader(path, options)
    named = name or name_of(path)
    chosen = Choice(named, hide, seed, group_by, add, strict, workspace, as_json, allow_alike)
    return ingest(reader, chosen)
