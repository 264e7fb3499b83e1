"""Prometheus' text format 0.0.4, as node_exporter's textfile collector reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import WorkspaceError
from storage.artefacts import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PREFIX = "signetflow_"
READABLE = 0o644
"""The collector is another user, and a service's umask may shut it out."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One figure that may go up and down."""

    name: str
    """Without the prefix; its unit is in it."""
    help: str
    values: tuple[tuple[Mapping[str, str], float], ...]
    """Labels with a value each; without any, the gauge is left out."""


def exposed(gauges: Iterable[Gauge], labels: Mapping[str, str]) -> str:
    """Return gauges as text; the given labels stand at every value."""
    lines: list[str] = []
    for gauge in gauges:
        if not gauge.values:
            continue
        name = PREFIX + gauge.name
        lines += [f"# HELP {name} {_escaped(gauge.help)}", f"# TYPE {name} gauge"]
        for own, value in gauge.values:
            words = ",".join(f'{key}="{_quoted(text)}"' for key, text in {**labels, **own}.items())
            lines.append(f"{name}{{{words}}} {float(value)!r}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def write_exposed(path: Path, text: str) -> None:
    """Write the file whole: who reads sees the old figures or the new ones.

    Raises
    ------
    WorkspaceError
        If the file cannot be written.
    """
    try:
        write_whole(path, text)
        path.chmod(READABLE)
    except OSError as error:
        raise WorkspaceError(
            f"{path}: the figures for Prometheus cannot be written ({error.strerror}). Name a "
            f"file in a folder of the textfile collector that this user can write."
        ) from error
