"""``signetflow labels``: which label versions there are, what is in them, and where it comes from.

Each verb, or group of verbs, is a module of this folder that adds itself with ``register``.
"""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword

import typer

VERBS = ("log", "show", "diff", "blame", "verify", "tag", "import", "revert", "export", "gc")
"""In the order of `--help`."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    verbs = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Look at label versions.\n\n"
        "Version 0 holds what a person drew. Each round of a run commits a new version that grew "
        "from the one before, in a chain of its own; a person's cells are in all of them.",
    )
    for name in VERBS:
        # A module cannot be called import.
        import_module(f"flows.cli.labels.{name}{'_' * iskeyword(name)}").register(verbs)
    app.add_typer(verbs, name="labels")
