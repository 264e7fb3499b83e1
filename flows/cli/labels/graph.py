"""The versions of a workspace as a graph of text, as ``git log --graph`` draws commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.cli.labels.chosen import SHORT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storage.labels.log import Logged

HEAD = ("version", "round", "stage", "human", "found", "growth", "model", "tags")
_LEFT = (True, False, True, False, False, False, True, True)
"""Whether a column is flush left."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A version, or the name of the chain that begins with the next line."""

    graph: str
    cells: tuple[str, ...] = ()


def graph_lines(versions: Sequence[Logged]) -> list[str]:
    """Return the lines of the graph: one per version, and one with the name of each chain.

    Parameters
    ----------
    versions
        In the order of the log. A version whose parent is not among them begins a graph.
    """
    if not versions:
        return []
    known = {one.info.digest for one in versions}
    children: dict[str | None, list[Logged]] = {}
    for one in versions:
        parent = one.info.parent if one.info.parent in known else None
        children.setdefault(parent, []).append(one)
    lines = [_Line(HEAD[0], HEAD[1:])]
    for root in children[None]:
        lines += [_Line(root.info.chain), *_grown(root, "", children)]
    return _aligned(lines)


def _grown(start: Logged, prefix: str, children: dict[str | None, list[Logged]]) -> Iterator[_Line]:
    """Yield a version and what grew from it; its own chain goes on straight below it."""
    one: Logged | None = start
    while one is not None:
        hidden = one is start and one.info.parent is not None and not prefix
        yield _Line(f"{prefix}{'~' if hidden else '*'} {one.info.digest[:SHORT]}", _cells(one))
        grown = children.get(one.info.digest, [])
        own = [child for child in grown if child.info.chain == one.info.chain][:1]
        branches = [child for child in grown if child not in own]
        for branch in branches:
            last = not own and branch is branches[-1]
            yield _Line(f"{prefix}{'`' if last else '|'}-- {branch.info.chain}")
            yield from _grown(branch, f"{prefix}{' ' if last else '|'}   ", children)
        one = own[0] if own else None


def _cells(one: Logged) -> tuple[str, ...]:
    info = one.info
    human = info.n_cells.get("human", 0)
    return (
        str(info.round),
        info.stage,
        str(human),
        str(sum(info.n_cells.values()) - human),
        "" if one.growth is None else f"{one.growth:+.1%}",
        f"{one.model} {one.checkpoint[:SHORT]}".strip(),
        ", ".join(one.tags),
    )


def _aligned(lines: list[_Line]) -> list[str]:
    rows = [(line.graph, *line.cells) for line in lines if line.cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [_row((line.graph, *line.cells), widths) if line.cells else line.graph for line in lines]


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = (
        cell.ljust(width) if left else cell.rjust(width)
        for cell, width, left in zip(cells, widths, _LEFT, strict=True)
    )
    return "  ".join(padded).rstrip()
