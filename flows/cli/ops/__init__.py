"""``signetflow ops``: set servers up, run them, see how they do.

Each group of verbs is a module of this folder that adds itself with ``register``.
"""

from __future__ import annotations

from importlib import import_module

import typer

VERBS = ("setting_up", "status", "metrics", "backup")
"""In the order of `--help`."""


def register(parent: typer.Typer) -> None:
    """Add the commands to the command line."""
    verbs = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Run signetflow for others: servers, pools, schedules.\n\n"
        "docs/operations.md is to be followed; ops bootstrap and ops serve are its first two "
        "commands, ops status is for every day.",
    )
    for name in VERBS:
        import_module(f"flows.cli.ops.{name}").register(verbs)
    parent.add_typer(verbs, name="ops")
