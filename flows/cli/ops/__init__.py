"""``signetflow ops``: set servers up, run them, see how they do.

Each group of verbs is a module of this folder that adds itself with ``register``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.cli.groups import add_group

if TYPE_CHECKING:
    import typer

VERBS = ("setting_up", "status", "metrics", "backup")
"""In the order of `--help`."""


def register(parent: typer.Typer) -> None:
    """Add the commands to the command line."""
    add_group(
        parent, "ops", VERBS,
        "Run signetflow for others: servers, pools, schedules.\n\n"
        "docs/operations.md is to be followed; ops bootstrap and ops serve are its first two "
        "commands, ops status is for every day.",
    )  # fmt: skip
