"""``ingest geojson`` and ``ingest aperio``: slides with what a person drew on them."""

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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.datasets.drawn_slide import Wanted

RoleOption = Annotated[
    Literal["positive", "negative", "unlabelled"] | None,
    typer.Option(
        help="Of slides on which no region is drawn: positive takes the whole slide as one "
        "annotated region, negative and unlabelled all tissue of it.",
        show_default="such slides are refused",
    ),
]
CompleteOption = Annotated[
    bool,
    typer.Option(
        "--complete", help="With --role positive: every cell of the class is marked on such slides."
    ),
]
RestOption = Annotated[
    Literal["unlabelled", "ignore", "negative"],
    typer.Option(
        help="Tissue outside the regions: unlabelled, nobody looked; ignore, not used; negative, "
        "guaranteed free of the target."
    ),
]
CompleteClassOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Class or name of regions in which every cell is marked; repeat it for more.",
        show_default="completely annotated, complete",
    ),
]
AnnotatedClassOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Of regions in which cells are marked, not all of them.",
        show_default="annotated, partly annotated, positive",
    ),
]
NegativeClassOption = Annotated[
    list[str] | None,
    typer.Option(help="Of regions without any cell of the target.", show_default="negative"),
]
AnnotationsOption = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        help="Folder of the annotation files, if they do not lie beside the slides.",
        show_default="beside the slides",
    ),
]
MppOption = Annotated[
    float | None, typer.Option(help="Micrometres per pixel, in place of what the files say.")
]


def register(kinds: typer.Typer) -> None:
    """Add the commands."""
    kinds.command("geojson")(geojson)
    kinds.command("aperio")(aperio)


def geojson(  # one per option
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder of slides or images, each with a .geojson or .geojson.gz of its name; or "
            "one of the files."
        ),
    ],
    name: NameOption = None,
    class_names: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="Class of the cells; repeat it to take several as one; '' for those without.",
            show_default="every class but those of regions",
        ),
    ] = None,
    role: RoleOption = None,
    complete: CompleteOption = False,
    rest: RestOption = "unlabelled",
    complete_class: CompleteClassOption = None,
    annotated_class: AnnotatedClassOption = None,
    negative_class: NegativeClassOption = None,
    detections: Annotated[
        bool,
        typer.Option(
            "--detections", help="Take what QuPath or a network detected as a person's marks."
        ),
    ] = False,
    annotations: AnnotationsOption = None,
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
    """Read slides that were annotated in QuPath.

    Draw rectangles around the tissue that you looked at, and say by their class what you know of
    it: "completely annotated", every cell is marked; "annotated", some are; "negative", there is
    none. Mark cells by any closed shape with a class of its own. Then File > Export objects as
    GeoJSON, and keep slide.geojson beside slide.svs.

    A cell counts where its centre lies in a region. Complete and negative regions must be
    rectangles; of another outline called annotated the rectangle around it is taken, and told.
    Of a shape that crosses itself only the box is kept, and told.

    Example: signetflow ingest geojson data/slides --class "Signet ring cell" --name mine
    """
    from storage.datasets.qupath import QuPathReader

    regions = {"complete": complete_class, "annotated": annotated_class, "negative": negative_class}
    wanted = _wanted(class_names, role, rest, regions, complete=complete, by_program=detections)
    reader = QuPathReader(path, wanted, mpp, annotations)
    named = name or name_of(path)
    chosen = Choice(named, hide, seed, group_by, add, strict, workspace, as_json, allow_alike)
    return ingest(reader, chosen)


def aperio(  # one per option
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder of slides or images, each with an .xml of its name; or one of the files."
        ),
    ],
    name: NameOption = None,
    class_names: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help="Layer of the cells, or the text of single ones; repeat it to take several.",
            show_default="every layer but those of regions",
        ),
    ] = None,
    role: RoleOption = None,
    complete: CompleteOption = False,
    rest: RestOption = "unlabelled",
    complete_class: CompleteClassOption = None,
    annotated_class: AnnotatedClassOption = None,
    negative_class: NegativeClassOption = None,
    annotations: AnnotationsOption = None,
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
    """Read slides or images that were annotated in Aperio ImageScope.

    Freehand outlines, rectangles and ellipses of every layer are cells, but for rectangles of a
    layer or text that says what is known of the tissue in them: "completely annotated",
    "annotated" or "negative". Images without a pixel size take the one in the file; a slide whose
    own differs from it is refused, as its outlines would lie in the wrong place.

    Example: signetflow ingest aperio data/tiles --role positive --complete --name nuclei
    """
    from storage.datasets.aperio import AperioReader

    regions = {"complete": complete_class, "annotated": annotated_class, "negative": negative_class}
    wanted = _wanted(class_names, role, rest, regions, complete=complete)
    reader = AperioReader(path, wanted, mpp, annotations)
    named = name or name_of(path)
    chosen = Choice(named, hide, seed, group_by, add, strict, workspace, as_json, allow_alike)
    return ingest(reader, chosen)


def _wanted(
    class_names: Sequence[str] | None,
    role: str | None,
    rest: str,
    regions: dict[str, list[str] | None],
    *,
    complete: bool,
    by_program: bool = False,
) -> Wanted:
    from models.annotations import Role
    from models.errors import WrongUseError
    from storage.datasets.drawn_regions import RegionNames, Statement
    from storage.datasets.drawn_slide import Wanted

    if complete and role != "positive":
        raise WrongUseError(
            "--complete says that every cell is marked on slides without regions. Give --role "
            "positive as well, or draw a region of the class 'completely annotated'."
        )
    return Wanted(
        class_names=tuple(class_names or ()),
        regions=RegionNames({Statement(one): names for one, names in regions.items() if names}),
        by_program=by_program,
        role=None if role is None else Role(role),
        complete=complete,
        rest=None if rest == "ignore" else Role(rest),
    )
