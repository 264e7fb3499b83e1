"""``signetflow labels``: which label versions there are, what is in them, and where it comes from.

Each verb, or group of verbs, is a module of this folder that adds itself with ``register``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.cli.groups import add_group

if TYPE_CHECKING:
    import typer

VERBS = ("log", "show", "diff", "blame", "verify", "tag", "import", "revert", "export", "gc")
"""In the order of `--help`."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    add_group(
        app, "labels", VERBS,
        "Look at label versions.\n\n"
        "Version 0 holds what a person drew. Each round of a run commits a new version that grew "
        "from the one before, in a chain of its own; a person's cells are in all of them.",
    )  # fmt: skip
