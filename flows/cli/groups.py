"""Groups of commands: each a folder whose modules add their verbs with ``register``."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence


def add_group(parent: typer.Typer, name: str, modules: Sequence[str], text: str) -> None:
    """Add a group of commands to the command line.

    Parameters
    ----------
    parent
        What it is added to.
    name
        Of the group, and of its folder beside this file.
    modules
        Of that folder, in the order of ``--help``. One whose name is a word of Python ends in
        ``_`` there.
    text
        The help of the group.
    """
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=text)
    for one in modules:
        module = f"flows.cli.{name}.{one}{'_' * iskeyword(one)}"
        import_module(module).register(group)
    parent.add_typer(group, name=name)
