"""The command blocks of docs/operations.md, and whether they are run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^>]*) -->\n)?```sh\n(?P<text>.*?)```", re.DOTALL)
MARKS = ("run", "run: stays", "run: any exit")
"""Run; run in a terminal of its own, where it stays; run, whatever its exit code."""
NOT_RUN = "not run: "
"""And why."""


class Block(NamedTuple):
    """One block of commands, and what the page says of running it."""

    mark: str
    text: str


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page in their order."""
    return [Block(found["mark"] or "", found["text"]) for found in BLOCK.finditer(page)]
