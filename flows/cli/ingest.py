"""``signetflow ingest``: read a dataset into the workspace."""

from __future__ import annotations

import re
from pathlib import Path  # typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from flows.cli.output import (
    JsonOption,
    WorkspaceOption,
    progress,
    report_error,
    say,
    table,
    write_json,
)
from models.errors import EmptyDatasetError, InputError, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.cli.output import Advance
    from storage.datasets.catalogue import IngestSummary
    from storage.datasets.protocol import DatasetReader, RefusedItem, SourceItem

REFUSED_SHOWN = 10

NameOption = Annotated[
    str | None, typer.Option("--name", help="Of the dataset.", show_default="name of the folder")
]
HideOption = Annotated[
    float,
    typer.Option(
        help="Drop this fraction of the annotations, chosen by a hash of their id so that smaller "
        "fractions are part of larger ones; all of them stay as truth for evaluation.",
    ),
]
SeedOption = Annotated[int, typer.Option(help="Of --hide and of the folds.", min=0)]
GroupOption = Annotated[
    list[str] | None,
    typer.Option(
        "--group-by",
        help="Key that hard folds keep whole: patient, organ, site or slide. Repeat it: the first "
        "that an image has counts.",
        show_default="organ where there are at least three, else slide",
    ),
]
AddOption = Annotated[
    bool,
    typer.Option("--add", help="Add to what the dataset of that name holds, not replace it."),
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Register nothing if one file or record is refused.")
]


class _Choice(NamedTuple):
    """What all kinds of dataset can be told."""

    name: str
    hide: float
    seed: int
    group_by: list[str] | None
    add: bool
    strict: bool
    workspace: Path | None
    as_json: bool


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    kinds = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Read a dataset into the workspace and fix its folds.\n\n"
        "Images are not copied, annotations never changed. What cannot be used is refused by name "
        "and reason, the rest is taken; exit code 3 if nothing could be. The same --name again "
        "makes a new version (--add: with all that the last one held), in which no group leaves "
        "its fold and new ones join.",
    )
    kinds.command("coco")(coco)
    kinds.command("slides")(slides)
    kinds.command("synthetic")(synthetic)
    app.add_typer(kinds, name="ingest")


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
    hide: HideOption = 0.0,
    seed: SeedOption = 0,
    group_by: GroupOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Read boxes (and outlines) in COCO form.

    Images may carry role (positive, negative, unlabelled), complete (true: every cell is
    annotated), slide, patient or case, organ, site and mpp.

    Example: signetflow ingest coco data/nuclei --where stain=he --hide 0.6 --name nuclei
    """
    from models.annotations import Role
    from storage.datasets.coco import CocoReader

    reader = CocoReader(path, Role(role), class_name, _pairs(where or []), mpp)
    named = name or _name_of(path)
    chosen = _Choice(named, hide, seed, group_by, add, strict, workspace, as_json)
    return _ingest(reader, chosen)


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
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Read slides and images that carry no annotations.

    Example: signetflow ingest slides data/normal --role negative --name nuclei --add
    """
    from models.annotations import Role
    from storage.datasets.slide_folder import SlideFolderReader

    reader = SlideFolderReader(path, Role(role), mpp)
    named = name or _name_of(path)
    chosen = _Choice(named, 0.0, seed, group_by, add, strict, workspace, as_json)
    return _ingest(reader, chosen)


def synthetic(  # one per option
    path: Annotated[Path, typer.Argument(help="Folder that holds a made-up dataset.")],
    name: NameOption = None,
    hide: HideOption = 0.0,
    seed: SeedOption = 0,
    group_by: GroupOption = None,
    add: AddOption = False,
    strict: StrictOption = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Read made-up slides, as signetflow demo writes them.

    Example: signetflow ingest synthetic workspace/synthetic --name synthetic
    """
    from storage.datasets.synthetic.reader import SyntheticReader

    named = name or _name_of(path)
    chosen = _Choice(named, hide, seed, group_by, add, strict, workspace, as_json)
    return _ingest(SyntheticReader(path), chosen)


def _pairs(where: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in where:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise WrongUseError(f"--where {text!r}: expected key=value, such as stain=he.")
        pairs[key] = value
    return pairs


def _name_of(path: Path) -> str:
    """Return a dataset's name after its folder, or after its file where a file was given."""
    named = path.resolve()
    stem = named.stem if named.is_file() else named.name
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip(".-")[:100] or "dataset"


def _ingest(reader: DatasetReader, chosen: _Choice) -> int:
    from storage.datasets.catalogue import register as register_dataset
    from storage.layout import Workspace, default_root

    refused: list[RefusedItem] = []
    try:
        with progress("ingest") as advance:
            summary = register_dataset(
                Workspace(chosen.workspace or default_root()),
                _watched(reader, refused, advance),
                name=chosen.name,
                group_by=tuple(chosen.group_by) if chosen.group_by else None,
                hide=chosen.hide,
                seed=chosen.seed,
                add=chosen.add,
                strict=chosen.strict,
            )
    except EmptyDatasetError as error:
        return _refuse(error, {"name": chosen.name, "accepted": 0}, refused, chosen)
    if summary.ref is None:
        too_strict = InputError(
            f"Dataset {summary.name}: {len(summary.refused)} refused and --strict was given, so "
            f"nothing was registered. Mend what is listed, or leave --strict out."
        )
        return _refuse(too_strict, _answer(summary, chosen), summary.refused, chosen)
    if chosen.as_json:
        write_json(_answer(summary, chosen))
    else:
        _tell(summary, chosen)
    return 0


def _watched(
    reader: DatasetReader, refused: list[RefusedItem], advance: Advance
) -> Iterator[SourceItem | RefusedItem]:
    """Yield what the reader yields, noting what was refused and how far it is."""
    from storage.datasets.protocol import RefusedItem

    done = 0
    for item in reader.items():
        if isinstance(item, RefusedItem):
            refused.append(item)
        else:
            done += 1
            advance(done, max(done, getattr(reader, "total", 0)))
        yield item


def _refuse(
    error: InputError,
    answer: dict[str, Any],
    refused: Sequence[RefusedItem],
    chosen: _Choice,
) -> int:
    if chosen.as_json:
        problem = {
            "type": type(error).__name__,
            "message": str(error),
            "exit_code": error.exit_code,
        }
        write_json({**answer, "refused": _listed(refused), "error": problem})
    else:
        _tell_refused(refused)
    return report_error(error, error.exit_code, as_json=False)


def _listed(refused: Sequence[RefusedItem]) -> list[dict[str, str]]:
    return [{"name": one.name, "reason": one.reason} for one in refused]


def _answer(summary: IngestSummary, chosen: _Choice) -> dict[str, Any]:
    return {
        "name": summary.name,
        "dataset": summary.ref.digest if summary.ref else None,
        "accepted": summary.accepted,
        "refused": _listed(summary.refused),
        "n_annotations": summary.n_annotations,
        "n_truth": summary.n_truth,
        "n_complete": summary.n_complete,
        "roles": dict(summary.roles),
        "group_by": list(summary.group_by),
        "groups_per_fold": list(summary.folds),
        "hide": chosen.hide,
        "seed": chosen.seed,
        "next": _next(summary, chosen),
    }


def _tell(summary: IngestSummary, chosen: _Choice) -> None:
    truth = f"{summary.n_truth} in {summary.n_complete} images" if summary.n_complete else "unknown"
    roles = ", ".join(f"{count} {role}" for role, count in summary.roles.items() if count)
    rows = [
        ["accepted", str(summary.accepted)],
        ["refused", str(len(summary.refused))],
        ["roles", roles],
        ["annotated cells to learn from", str(summary.n_annotations)],
        ["complete truth for evaluation", truth],
        [f"groups per fold ({summary.group_by[0]})", " / ".join(map(str, summary.folds))],
        ["version", str(summary.ref)],
    ]
    table(f"Dataset {summary.name}", ["", ""], rows)
    _tell_refused(summary.refused)
    if 0 in summary.folds:
        say("Hard folds need at least three groups; with fewer, run with --set splits=[easy].")
    say(f"Next: {_next(summary, chosen)}")


def _next(summary: IngestSummary, chosen: _Choice) -> str:
    """Return the command to type next."""
    where = f" --workspace {chosen.workspace}" if chosen.workspace else ""
    if not summary.roles["positive"]:
        return f"signetflow ingest coco ANNOTATED_IMAGES --name {summary.name} --add{where}"
    return f"signetflow run {NEXT_PRESET} --set dataset={summary.name}{where}"


NEXT_PRESET = "images-cpu"
"""The preset for a user's own data on any machine."""


def _tell_refused(refused: Sequence[RefusedItem]) -> None:
    if not refused:
        return
    say("Refused:")
    for one in refused[:REFUSED_SHOWN]:
        say(f"  {one.name}: {one.reason}")
    if len(refused) > REFUSED_SHOWN:
        say(f"  ... {len(refused) - REFUSED_SHOWN} more, all in --json")
