"""The table of a study as people read it on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.cli.output import say, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    Content = Mapping[str, Any]

COUNTED = {
    "partial": "recall of the cells that a person marked, as in the paper",
    "complete": "recall of all cells",
}
NOTHING = "-"


def show_study(content: Content) -> None:
    """Print every mode of a study beside the paper's numbers, and what to mind."""
    for mode in ("easy", "hard"):
        for truth, counted in COUNTED.items():
            rows = [row for row in content["rows"] if (row["mode"], row["truth"]) == (mode, truth)]
            if rows:
                share = f"{content['confidence']:.0%} intervals over slides"
                _show_rows(f"{mode} mode, {counted} (paper's numbers); {share}", rows)
    say("In brackets the paper's numbers. They are not of the same thing:")
    _say_all(content["not_comparable"])
    say("What cannot be concluded:")
    _say_all(content["not_concluded"])


def _show_rows(title: str, rows: list[dict[str, Any]]) -> None:
    columns = [
        "arm", "network", "collective", "instance", "normal FP", "FROC", "over supervised",
        "over its control", "verdict",
    ]  # fmt: skip
    table(title, columns, [_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> list[str]:
    paper = f" ({row['paper_name']})" if row["paper_name"] else ""
    control = row["over_control"]
    return [
        f"{row['arm']}{paper}",
        row["model"],
        _beside(row, "collective_recall", 3),
        _beside(row, "instance_recall", 3),
        _beside(row, "fps", 2),
        f"{_beside(row, 'froc', 3)}\n{_interval(row['froc'], '')}",
        _difference(row["over_supervised"]),
        _difference(control),
        control["verdict"] if control else NOTHING,
    ]


def _beside(row: dict[str, Any], name: str, digits: int) -> str:
    own = f"{row[name]['value']:.{digits}f}"
    published = row["published"]
    return f"{own} ({published[name]:.{digits}f})" if published else own


def _difference(beside: dict[str, Any] | None) -> str:
    if beside is None:
        return NOTHING
    froc = beside["froc"]
    return f"{froc['value']:+.3f}\n{_interval(froc, '+')}"


def _interval(one: dict[str, Any], sign: str) -> str:
    if one["low"] is None:
        return NOTHING
    return f"{one['low']:{sign}.3f} to {one['high']:{sign}.3f}"


def _say_all(sentences: list[str]) -> None:
    for one in sentences:
        say(f"  - {one}")
