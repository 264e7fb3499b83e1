"""``signetflow ingest``: read a dataset into the workspace.

Each kind of dataset, or family of kinds, is a module of this folder that adds its commands with
``register``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.cli.groups import add_group

if TYPE_CHECKING:
    import typer

FAMILIES = ("coco", "xml_boxes", "masks", "annotated_slides", "slides", "synthetic")
"""In the order of `--help`."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    add_group(
        app, "ingest", FAMILIES,
        "Read a dataset into the workspace and fix its folds.\n\n"
        "Images are not copied, annotations never changed. What cannot be used is refused by name "
        "and reason, the rest is taken; exit code 3 if nothing could be. The same --name again "
        "makes a new version (--add: with all that the last one held), in which no group leaves "
        "its fold and new ones join.",
    )  # fmt: skip
