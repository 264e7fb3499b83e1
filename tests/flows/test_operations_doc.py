"""What docs/operations.md says to type can be typed."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import typer

from flows.cli import app
from tests.flows.operations_page import BLOCK, MARKS, NOT_RUN, PAGE, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLD = re.compile(r"`((?:signetflow|prefect) [^`]+)`")


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words of every command of ours that the page names, in blocks and in sentences."""
    lines = [line for block in blocks(page) for line in block.text.splitlines()]
    told = [*lines, *TOLD.findall(BLOCK.sub("", page))]
    for line in (part for one in told for part in re.split(r"; | && ", one.strip("()"))):
        words = shlex.split(line) if "signetflow " in line else []
        if words and words[0].rpartition("/")[2] == "signetflow":
            yield words[1:]


def wrong(words: list[str]) -> str:
    """Return what typer's own parser finds wrong with a command; empty if nothing."""
    # Of typer's own click: no types are shared with the package click.
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        if not words:
            return ""
        if words[0] not in command.commands:
            return f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    known = {name for one in command.params for name in [*one.opts, *one.secondary_opts]}
    known.add("--help")
    used = {word.partition("=")[0] for word in words if word.startswith("-")}
    if used - known:
        return f"{command.name}: no option {', '.join(sorted(used - known))}"
    if set(words) & {"...", "--help"} or _only_named(words):
        return ""
    try:
        command.make_context(command.name, list(words))
    except Exception as error:  # noqa: BLE001  # typer has a click of its own, with its errors
        return f"{command.name}: {error}"
    return ""


def _only_named(words: list[str]) -> bool:
    """Tell whether a sentence names a command, or an option, without what it wants."""
    return not words or all(word.startswith("-") for word in words)


def test_every_command_and_option_of_ours_exists():
    found = list(commands(PAGE.read_text()))
    assert len(found) > 25
    assert [(words, wrong(words)) for words in found if wrong(words)] == []


@pytest.mark.parametrize(
    "line",
    ["models demote", "labels gc --force", "models promote 3f2a --because", "ops serve --host"],
)
def test_a_command_that_is_not_there_is_found(line):
    words = line.split()
    if line == "ops serve --host":
        assert wrong(words) == ""  # a sentence may name an option alone
    else:
        assert wrong(words)


def test_every_block_says_whether_it_is_run_or_why_not():
    for block in blocks(PAGE.read_text()):
        assert block.mark in MARKS or block.mark.startswith(NOT_RUN), block


def test_every_block_is_bash_that_can_be_read():
    for block in blocks(PAGE.read_text()):
        read = subprocess.run(
            ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
        )
        assert (read.returncode, read.stderr) == (0, ""), block.text
