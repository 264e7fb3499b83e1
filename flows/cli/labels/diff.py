"""``signetflow labels diff``: what differs between two versions."""

from __future__ import annotations

from pathlib import Path  # typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.cluster import DaskOption, cluster_at
from flows.cli.labels.chosen import SHORT, version_ref, workspace_at
from flows.cli.output import JsonOption, WorkspaceOption, note, progress, say, table, write_json

if TYPE_CHECKING:
    from storage.labels.diff.compare import VersionDiff
    from storage.layout import Ref, Workspace

REGIONS_SHOWN = 10


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("diff")(diff)


def diff(
    before: Annotated[str, typer.Argument(help="First digits of a version, or a tag.")],
    after: Annotated[str, typer.Argument(help="The other; of the same chain or of any.")],
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page with pictures of the most telling changes.", dir_okay=False
        ),
    ] = None,
    shown: Annotated[int, typer.Option(help="Changes to show, most telling first.", min=0)] = 24,
    moved: Annotated[
        float, typer.Option(help="A cell moved by more than so many working pixels.", min=0)
    ] = 1.0,
    resized: Annotated[
        float, typer.Option(help="Its area changed by more than this fraction.", min=0)
    ] = 0.1,
    rescored: Annotated[
        float, typer.Option(help="Its score changed by more than this.", min=0)
    ] = 0.05,
    regions: Annotated[
        str | None,
        typer.Option(help="Regions to take images from; by default those that the labels name."),
    ] = None,
    dask: DaskOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> int:
    """Say what differs between two versions: cells, pixel classes, a person's cells.

    Cells are the same by their id where one version grew from the other, by the annotation of a
    person, by descent, and by place where boxes overlap by 0.3. A cell that grew from one which
    lives on split off; one that went into another merged. Equal files are never read.

    Examples: signetflow labels diff 3f2a gold; signetflow labels diff 3f2a gold --html diff.html
    """
    from storage.labels.diff.compare import diff as compare
    from storage.labels.diff.settings import DiffSettings

    cluster = cluster_at(dask)
    at = workspace_at(workspace)
    refs = version_ref(at, before), version_ref(at, after)
    settings = DiffSettings(moved_px=moved, resized=resized, rescored=rescored)
    with progress("compare") as advance:
        found = compare(at, *refs, settings, advance, cluster)
    if html is not None:
        _write_page(at, found, html, shown, regions)
    if as_json:
        page = str(html) if html else None
        write_json({**found.to_json(), "changes": _changes(found, shown), "page": page})
    else:
        _tell(found, shown)
        if html is not None:
            say(f"Pictures: {html}")
    return 0


def _write_page(
    at: Workspace, found: VersionDiff, path: Path, n_shown: int, regions: str | None
) -> None:
    from models.errors import WorkspaceError
    from storage.labels.diff.crops import telling_crops
    from storage.labels.diff.page import build_diff_page
    from storage.regions import open_regions

    ref = _regions(at, found, regions)
    if ref is None:
        note("note: no regions with images belong to these labels; the page shows outlines only.")
    with progress("pictures") as advance:
        crops = telling_crops(found, open_regions(at, ref) if ref else None, n_shown, advance)
    try:
        build_diff_page(found, crops, path)
    except OSError as error:
        raise WorkspaceError(f"{path}: the page cannot be written ({error.strerror}).") from error


def _regions(at: Workspace, found: VersionDiff, text: str | None) -> Ref | None:
    from models.errors import NotFoundError
    from storage.labels.lineage import regions_behind
    from storage.layout import Kind, Ref

    if text is None:
        return regions_behind(at, found.after) or regions_behind(at, found.before)
    folders = (at.root / Kind.REGIONS).glob("[0-9a-f]*")
    named = [path.name for path in folders if text and path.name.startswith(text)]
    if len(named) != 1:
        raise NotFoundError(f"{len(named)} regions in {at.root} begin with {text!r}; give one.")
    return Ref(Kind.REGIONS, named[0])


def _changes(found: VersionDiff, n_shown: int) -> list[dict[str, Any]]:
    from storage.labels.diff.telling import telling_rows

    return [found.change_to_json(row) for row in telling_rows(found, n_shown)]


def _tell(found: VersionDiff, n_shown: int) -> None:
    from storage.labels.diff.page import relation_text, row_text, summary_text
    from storage.labels.diff.pixels import CLASS_NAMES
    from storage.labels.diff.telling import telling_rows

    names = found.before.info.digest[:SHORT], found.after.info.digest[:SHORT]
    say(f"{names[0]} to {names[1]}. {relation_text(found)}")
    say(summary_text(found))
    pixels = found.pixels
    rows = [
        [name, *(f"{count:,}" for count in counts)]
        for name, counts in zip(CLASS_NAMES, pixels.matrix.tolist(), strict=True)
    ]
    table("pixels by class, before and after", ["before", *CLASS_NAMES], rows)
    say(f"{pixels.equal_px:,} more pixels lie in {pixels.n_equal} equal files.")
    columns = ("before", "after", "added", "removed", "moved", "resized", "split_off",
               "merged_away")  # fmt: skip
    changed = list(found.by_region.items())
    listed = [
        [name, *(str(counts.get(column, 0)) for column in columns)]
        for name, counts in changed[:REGIONS_SHOWN]
    ]
    if listed:
        table(
            "regions that differ", ["region", *(one.replace("_", " ") for one in columns)], listed
        )
    if len(changed) > REGIONS_SHOWN:
        say(f"and {len(changed) - REGIONS_SHOWN} more regions; --json lists all.")
    for row in telling_rows(found, n_shown):
        say(f"- {row_text(found, row)}")
