"""What every command shares: options, one JSON object, errors on one line, progress with ETA."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from unicodedata import bidirectional, category

import typer

from flows import logs

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        help="Folder that holds everything signetflow keeps.",
        envvar="SIGNETFLOW_WORKSPACE",
        show_default="./workspace",
        file_okay=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print exactly one JSON object on stdout; logs on stderr.")
]

logger = logging.getLogger(__name__)

INTERRUPTED = 130
"""The exit code that shells give for Ctrl-C."""
UNCUT = 10_000
"""Columns; tables take only as many as they need."""

Advance = Callable[[int, int], None]
"""Called with how many are done and how many there are."""


def write_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout; values that are not finite become null."""
    sys.stdout.write(json.dumps(_finite(value), indent=2, default=str) + "\n")


def _finite(value: Any) -> Any:  # noqa: ANN401  # anything JSON can hold
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value


def say(line: str = "") -> None:
    """Print a line for people on stdout."""
    sys.stdout.write(printable(line) + "\n")


def note(line: str, level: int = logging.INFO) -> None:
    """Print a line for people on stderr, where it never disturbs ``--json``; log it if asked."""
    if logs.are_json():
        logger.log(level, "%s", line)
        return
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """Return text with what would steer a terminal as escapes.

    Names of files may hold control characters, marks that reverse the direction of text, and bytes
    that are no characters at all.
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    steers = category(character) in {"Cc", "Cs"} or bidirectional(character) in _REVERSES
    escape = steers and character not in "\n\t"
    return character.encode("unicode_escape").decode() if escape else character


_REVERSES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def report_error(error: BaseException, code: int, *, as_json: bool) -> int:
    """Print an error on one or two lines, as JSON if asked, and return its exit code."""
    message = getattr(error, "format_message", lambda: str(error))() or type(error).__name__
    if as_json:
        write_json({"error": {"type": type(error).__name__, "message": message, "exit_code": code}})
    if type(error).__name__ == "NoArgsIsHelpError":
        note(message)  # help that was asked for by typing nothing is no error to read
        return code
    known = code != 1 or type(error).__module__ == "models.errors"
    prefix = "" if known else f"{type(error).__name__}: "
    hint = "" if known else " (run again with --debug for the full trace)"
    note(f"error: {prefix}{message}{hint}", logging.ERROR)
    return code


def report_interrupt(*, as_json: bool) -> int:
    """Say that the command was interrupted and how to go on; return 130."""
    message = "interrupted; run the same command again to go on where it stopped"
    if as_json:
        fault = {"type": "Interrupted", "message": message, "exit_code": INTERRUPTED}
        write_json({"error": fault})
    note(f"error: {message}", logging.ERROR)
    return INTERRUPTED


def table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table for people on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Names come from files and people: as `Text`, square brackets in them are no markup.
    grid = Table()
    for index, column in enumerate(columns):
        grid.add_column(Text(column), justify="left" if index == 0 else "right")
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    # Only a terminal has a width; in a file or a pipe nothing is cut off.
    width = None if sys.stdout.isatty() else UNCUT
    console = Console(file=sys.stdout, width=width)
    if title:  # apart from the grid, which would wrap it to its own width
        console.print(Text(printable(title), style="italic"))
    console.print(grid)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
    del done, total


@contextmanager
def progress(description: str) -> Iterator[Advance]:
    """Yield a function to call with (done, total); a bar with ETA on a terminal, else silent."""
    if not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        transient=True,
    )
    with bar:
        task = bar.add_task(description, total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)
