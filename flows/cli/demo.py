"""``signetflow demo``: the whole main job on made-up slides."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.output import JsonOption, WorkspaceOption, note, progress

if TYPE_CHECKING:
    from storage.datasets.synthetic.settings import SyntheticSettings
    from storage.layout import Workspace


class Size(StrEnum):
    """How much is made up."""

    TINY = "tiny"
    SMALL = "small"


class Split(StrEnum):
    """What the held-back test regions share with the training regions."""

    HARD = "hard"
    EASY = "easy"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("demo")(demo)


def demo(
    workspace: WorkspaceOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the slides and of the training.")] = 0,
    mode: Annotated[
        Split, typer.Option(help="hard: other organs in the test; easy: other regions.")
    ] = Split.HARD,
    size: Annotated[
        Size,
        typer.Option(help="small: about ten minutes; tiny: about one, its numbers mean nothing."),
    ] = Size.SMALL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make up slides, train on their incomplete annotations in rounds, and show what it brought.

    Everything runs on this machine: slides, regions, label versions, checkpoints, the table and a
    report page end up in the workspace, an MLflow store beside them. Run it again: nothing is new.
    """
    from flows.cli.run import show_result
    from flows.cli.running import execute, workspace_at
    from flows.config import load_config

    at = workspace_at(workspace)
    preset = "tiny" if size is Size.TINY else "demo"
    dataset = f"{preset}-{seed}"
    make_slides(at, dataset, _settings(size, seed))
    overrides = (f"dataset={dataset}", f"seeds=[{seed}]", f"splits=[{mode.value}]")
    plan, report, was_there = execute(load_config(preset, overrides), at)
    show_result(at, plan.run_id, report, was_there=was_there, as_json=as_json)


def _settings(size: Size, seed: int) -> SyntheticSettings:
    from storage.datasets.synthetic.settings import SyntheticSettings

    return SyntheticSettings.tiny(seed) if size is Size.TINY else SyntheticSettings.small(seed)


def make_slides(at: Workspace, dataset: str, settings: SyntheticSettings) -> None:
    """Make up slides and ingest them, unless that was done before."""
    from storage.datasets.registered import names

    at.require_writable()
    if dataset in names(at):
        return
    from storage.datasets.catalogue import register as register_dataset
    from storage.datasets.synthetic.reader import SyntheticReader
    from storage.datasets.synthetic.slides import make_dataset

    folder = at.root / "slides" / dataset
    note(f"drawing slides into {folder}")
    with progress("drawing slides") as advance:
        make_dataset(folder, settings, progress=advance)
    register_dataset(at, SyntheticReader(folder).items(), name=dataset, group_by=("organ", "slide"))
