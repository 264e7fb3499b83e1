"""``signetflow labels blame``: where one cell comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.labels.chosen import SHORT, VersionArgument, version_ref, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, say, table, write_json

if TYPE_CHECKING:
    from storage.labels.blame import Beginning, Blame, BlamedCell, Step
    from storage.labels.place import Place, Removal
    from storage.labels.schema import VersionInfo
    from storage.layout import Ref, Workspace


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("blame")(blame)


def blame(
    version: VersionArgument,
    cell: Annotated[
        int | None, typer.Option(help="Id of the cell; ids count within a region.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="X,Y", help="A place instead, in level-0 pixels of the slide."
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(help="The region; may be left out where the version has only one."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Say where a cell comes from: who drew it, or what found it, and each version since.

    Goes back version by version to the annotation of a person, or to the network that found the
    cell, with its checkpoint, threshold, score and votes. A cell that merged has several
    beginnings; the parts of one that split name each other. Where there is no cell, it names the
    nearest, and the round that removed the one that was there.

    What happened to a cell: drawn or found, where it begins; corrected by a person; merged from
    several; split, so that one became several; renamed, too different to keep its id; moved, its
    box changed; kept.

    Examples: signetflow labels blame gold --region slide-7@0,4096 --cell 12; signetflow labels
    blame 3f2a91c0 --region slide-7@0,4096 --at 1830,5012 --json
    """
    from models.errors import WrongUseError
    from storage.labels.blame import blame as chain_of
    from storage.labels.place import look

    if (cell is None) is (place is None):
        raise WrongUseError("give --cell ID or --at X,Y: one of the two.")
    at = workspace_at(workspace)
    ref = version_ref(at, version)
    name = region or _only_region(at, ref)
    seen = look(at, ref, name, *_numbers(place)) if place is not None else None
    wanted = seen.cell if seen else cell
    found = chain_of(at, ref, name, wanted) if wanted is not None else None
    if as_json:
        said = found.to_json() if found else {"version": ref.digest, "region": name, "cell": None}
        write_json({**said, "place": seen.to_json() if seen else None})
    elif found:
        _tell(found)
    elif seen:
        _tell_empty(seen, ref, name)
    return 0


def _numbers(text: str) -> tuple[float, float]:
    from math import isfinite

    from models.errors import WrongUseError

    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = float("nan")
    if not (isfinite(x) and isfinite(y)):
        raise WrongUseError(f"--at {text!r}: expected two numbers such as --at 1830,5012.")
    return x, y


def _only_region(at: Workspace, ref: Ref) -> str:
    from models.errors import WrongUseError
    from storage.labels.store import open_version

    names = open_version(at, ref).region_ids
    if len(names) != 1:
        raise WrongUseError(
            f"version {ref.digest[:SHORT]} has {len(names)} regions: name one with --region, such "
            f"as {', '.join(names[:3])}; 'signetflow labels show {ref.digest[:SHORT]}' lists them."
        )
    return names[0]


def _tell(found: Blame) -> None:
    short = found.steps[0].info.digest[:SHORT]
    say(f"Cell {found.cell} of region {found.region} in version {short}")
    for one in found.beginnings:
        say(f"  {_beginning(one)}")
    if found.gone:
        say(f"  Version {found.gone[:SHORT]} was deleted: what came before it cannot be told.")
    rows = [
        [
            step.info.digest[:SHORT] if first else "",
            f"{step.info.round} {step.info.stage}" if first else "",
            _made_by(step) if first else "",
            " ".join(one[:SHORT] for one in step.configs) if first else "",
            str(cell.cell),
            _happened(cell),
            "" if cell.score is None else f"{cell.score:.3f}",
        ]
        for step in found.steps
        for first, cell in zip([True, *[False] * len(step.cells)], step.cells, strict=False)
    ]
    columns = ["version", "round", "made by", "config", "cell", "what happened", "score"]
    table("Back to where it began", columns, rows)


def _beginning(one: Beginning) -> str:
    cell, short = one.cell, one.version[:SHORT]
    if one.is_human:
        return f"drawn by a person: annotation {cell.annotation_id} (cell {cell.cell} in {short})"
    above = "" if one.threshold is None else f", above the threshold {one.threshold:g}"
    score = "" if cell.score is None else f" with score {cell.score:.3f}"
    votes = f"{cell.votes} vote{'s' * (cell.votes != 1)}"
    network = f"network {one.network} " if one.network else "a network "
    return (
        f"found by {network}(checkpoint {cell.checkpoint[:SHORT]}) in round {cell.round} of "
        f"{cell.stage}{score} and {votes}{above} (cell {cell.cell} in {short})"
    )


def _happened(cell: BlamedCell) -> str:
    parents = ", ".join(map(str, cell.parents))
    far = f", {cell.drift_px:.1f} px" if cell.drift_px else ""
    said = {
        "drawn": f"drawn: {cell.annotation_id}",
        "corrected": f"corrected by a person: {cell.annotation_id}",
        "merged": f"merged from {parents}{far}",
        "split": f"split from {parents}{far}",
        "renamed": f"grew from {parents}",
        "moved": f"moved{far}" if far else "resized",
    }
    others = ", ".join(map(str, cell.siblings))
    return said.get(cell.how, cell.how) + (f"; so did {others}" if others else "")


def _made_by(step: Step) -> str:
    from storage.labels.blame import checkpoint_of

    if checkpoint_of(step.info):
        return f"{step.network} {checkpoint_of(step.info)[:SHORT]}".strip()
    return _person_or_revert(step.info)


def _person_or_revert(info: VersionInfo) -> str:
    if "reviewer" in info.parameters:
        return f"review of {info.parameters['reviewer']}"
    back = info.parameters.get("taken_back")
    return "taken back: " + ", ".join(f"{k} {v}" for k, v in back.items()) if back else ""


def _tell_empty(seen: Place, ref: Ref, region: str) -> None:
    say(
        f"No cell there: x {seen.x:g}, y {seen.y:g} of region {region} is {seen.pixel} in version "
        f"{ref.digest[:SHORT]}."
    )
    if seen.nearest is None:
        say("The region has no cell at all.")
    else:
        away = f"{seen.nearest.distance_px:.1f} level-0 pixels away"
        say(f"The nearest cell is {seen.nearest.cell}, {away}.")
    if seen.removal:
        say(_removed(seen.removal))
        last = seen.removal.last.digest[:SHORT]
        story = f"signetflow labels blame {last} --region {region} --cell {seen.removal.cell}"
        say(f"Where it came from: {story}")


def _removed(one: Removal) -> str:
    by = f"round {one.by.round} of {one.by.stage} (version {one.by.digest[:SHORT]}"
    by += f", {why})" if (why := _person_or_revert(one.by)) else ")"
    last = f"Cell {one.cell} lay there until version {one.last.digest[:SHORT]}"
    if one.now:
        now = ", ".join(map(str, one.now))
        return f"{last}; {by} moved it away, it is cell {now} now."
    return f"{last}; {by} removed it."
