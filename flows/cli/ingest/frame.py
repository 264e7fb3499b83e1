"""What every kind of dataset shares: its options, the reading, and the answer."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path  # typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from flows.cli.output import progress, report_error, say, table, write_json
from models.errors import DataLeakError, EmptyDatasetError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flows.cli.output import Advance
    from storage.datasets.catalogue import IngestSummary
    from storage.datasets.likeness import Pair
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


AllowAlikeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-alike",
        metavar="A=B",
        help="These two items look alike and are different tissue; all: every such pair. The "
        "dataset remembers it. Without this, the same pixels in two groups are refused.",
    ),
]


class Choice(NamedTuple):
    """What all kinds of dataset can be told."""

    name: str
    hide: float
    seed: int
    group_by: list[str] | None
    add: bool
    strict: bool
    workspace: Path | None
    as_json: bool
    allow_alike: list[str] | None = None


def name_of(path: Path) -> str:
    """Return a dataset's name after its folder, or after its file where a file was given."""
    named = path.resolve()
    stem = named.stem if named.is_file() else named.name
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip(".-")[:100] or "dataset"


def ingest(reader: DatasetReader, chosen: Choice) -> int:
    """Register what a reader finds, say what became of it, and return the exit code."""
    from storage.datasets.catalogue import register as register_dataset
    from storage.layout import Workspace, default_root

    heard = _Heard()
    try:
        with progress("ingest") as advance:
            summary = register_dataset(
                Workspace(chosen.workspace or default_root()),
                heard.items(reader, advance),
                name=chosen.name,
                group_by=tuple(chosen.group_by) if chosen.group_by else None,
                hide=chosen.hide,
                seed=chosen.seed,
                add=chosen.add,
                strict=chosen.strict,
                allow_alike=tuple(chosen.allow_alike or ()),
                on_refused=heard.refused.append,
            )
    except (EmptyDatasetError, DataLeakError) as error:
        return _refuse(error, {"name": chosen.name, "accepted": 0}, heard.refused, chosen)
    if summary.ref is None:
        too_strict = InputError(
            f"Dataset {summary.name}: {len(summary.refused)} refused and --strict was given, so "
            f"nothing was registered. Mend what is listed, or leave --strict out."
        )
        return _refuse(too_strict, _answer(summary, heard, chosen), summary.refused, chosen)
    if chosen.as_json:
        write_json(_answer(summary, heard, chosen))
    else:
        _tell(summary, heard, chosen)
    return 0


class _Heard:
    """What a reader said on the way that the registered dataset does not keep."""

    def __init__(self) -> None:
        self.refused: list[RefusedItem] = []
        self.noticed: Counter[str] = Counter()

    def items(self, reader: DatasetReader, advance: Advance) -> Iterator[SourceItem | RefusedItem]:
        """Yield what the reader yields, and tell how far it is."""
        from storage.datasets.protocol import RefusedItem, RefusedRecord

        done = 0
        for item in reader.items():
            if not isinstance(item, RefusedItem):
                self.noticed.update(item.noticed)
            done += not isinstance(item, RefusedRecord)
            advance(done, max(done, reader.total))
            yield item


def _refuse(
    error: InputError | DataLeakError,
    answer: dict[str, Any],
    refused: Sequence[RefusedItem],
    chosen: Choice,
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


def _answer(summary: IngestSummary, heard: _Heard, chosen: Choice) -> dict[str, Any]:
    return {
        "name": summary.name,
        "dataset": summary.ref.digest if summary.ref else None,
        "accepted": summary.accepted,
        "refused": _listed(summary.refused),
        "noticed": dict(heard.noticed),
        "n_annotations": summary.n_annotations,
        "n_truth": summary.n_truth,
        "n_complete": summary.n_complete,
        "roles": dict(summary.roles),
        "group_by": list(summary.group_by),
        "groups_per_fold": list(summary.folds),
        "alike": [list(pair.names) for pair in summary.alike],
        "like_tiles": {name: list(tiles) for name, tiles in summary.like_tiles.items()},
        "hide": chosen.hide,
        "seed": chosen.seed,
        "next": _next(summary, chosen),
    }


def _tell(summary: IngestSummary, heard: _Heard, chosen: Choice) -> None:
    truth = f"{summary.n_truth} in {summary.n_complete} images" if summary.n_complete else "unknown"
    roles = ", ".join(f"{count} {role}" for role, count in summary.roles.items() if count)
    rows = [
        ["accepted", str(summary.accepted)],
        ["refused", str(len(summary.refused))],
        ["roles", roles],
        ["annotated cells to learn from", str(summary.n_annotations)],
        ["complete truth for evaluation", truth],
        [f"groups per fold ({summary.group_by[0]})", " / ".join(map(str, summary.folds))],
        *([f"noticed: {what}", str(count)] for what, count in heard.noticed.items()),
        ["version", str(summary.ref)],
    ]
    table(f"Dataset {summary.name}", ["", ""], rows)
    _tell_refused(summary.refused)
    if summary.alike:
        _tell_alike(summary.alike)
    if summary.like_tiles:
        _tell_like_tiles(summary.like_tiles)
    if 0 in summary.folds:
        say("Hard folds need at least three groups; with fewer, run with --set splits=[easy].")
    say(f"Next: {_next(summary, chosen)}")


def _next(summary: IngestSummary, chosen: Choice) -> str:
    """Return the command to type next."""
    where = f" --workspace {chosen.workspace}" if chosen.workspace else ""
    if not summary.roles["positive"]:
        return f"signetflow ingest coco ANNOTATED_IMAGES --name {summary.name} --add{where}"
    return f"signetflow run {NEXT_PRESET} --set dataset={summary.name}{where}"


NEXT_PRESET = "images-cpu"
"""The preset for a user's own data on any machine."""


def _tell_alike(pairs: Sequence[Pair]) -> None:
    say("The same pixels twice, each pair in one group: it stays in one fold, but counts double.")
    for pair in pairs[:REFUSED_SHOWN]:
        say(f"  {pair}")
    if len(pairs) > REFUSED_SHOWN:
        say(f"  ... {len(pairs) - REFUSED_SHOWN} more, all in --json")


def _tell_like_tiles(tiles_of: Mapping[str, Sequence[str]]) -> None:
    name, tiles = max(tiles_of.items(), key=lambda one: len(one[1]))
    n_tiles = sum(map(len, tiles_of.values()))
    slides = "one slide" if len(tiles_of) == 1 else f"{len(tiles_of)} slides"
    say(
        f"{n_tiles} images are named like tiles of {slides} and lie in groups of their own, such "
        f"as {tiles[0]} and {tiles[1]}. If they are, tell their slide ({name}) in the annotation "
        f"file: tiles of one slide in training and in test make results too good."
    )


def _tell_refused(refused: Sequence[RefusedItem]) -> None:
    if not refused:
        return
    say("Refused:")
    for one in refused[:REFUSED_SHOWN]:
        say("  " + f"{one.name}: {one.reason}".replace("\n", "\\n"))
    if len(refused) > REFUSED_SHOWN:
        say(f"  ... {len(refused) - REFUSED_SHOWN} more, all in --json")
