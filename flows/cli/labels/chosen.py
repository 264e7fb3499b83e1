"""Which version of which workspace a verb works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from storage.layout import Ref, Workspace

SHORT = 8
"""Digits of a digest that people read."""

VersionArgument = Annotated[
    str,
    typer.Argument(help="First digits of a version, or a tag; signetflow labels log lists them."),
]


def workspace_at(root: Path | None) -> Workspace:
    """Return the workspace that was asked for, or the usual one."""
    from storage.layout import Workspace, default_root

    return Workspace(root or default_root())


def version_ref(at: Workspace, text: str) -> Ref:
    """Return the version that a tag or the first digits of a digest mean."""
    from storage.labels.log import resolve

    return resolve(at, text)
