"""What people read on the pages of MLflow: flat parameters, names it accepts, the run's note."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from storage.artefacts import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator

PARAMETER_LENGTH = 500
KEY_LENGTH = 250
NOTE_LENGTH = 7_900
"""A tag holds 8000 characters, and the note is a tag."""

ROUND_COLUMNS = ("name", "labels_in", "labels_out", "cells", "growth", "froc", "alarm")
ROW_COLUMNS = ("mode", "fold", "seed", "arm", "model", "truth", "froc", "froc_low", "froc_high",
               "instance_recall", "fps")  # fmt: skip


def key(name: str) -> str:
    """Return a name of a metric, parameter or tag with only the characters that MLflow takes."""
    return re.sub(r"[^\w./ -]", "_", name)[:KEY_LENGTH]


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as ``a.b.c`` -> text of at most 500 characters; lists stay whole."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else canonical_json(value)
            found[key(prefix + name)] = text[:PARAMETER_LENGTH]
    return found


def tags_of(values: dict[str, Any]) -> dict[str, str]:
    """Return tags as text, without those that have no value."""
    return {key(name): str(value) for name, value in values.items() if value is not None}


def numbers(values: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the entries that are numbers, under names that MLflow takes."""
    for name, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield key(name), float(value)


def row_metrics(rows: list[dict[str, Any]]) -> list[tuple[str, float, int]]:
    """Return name, value and step of each row's FROC; rows of one name get steps 0, 1, 2, ..."""
    steps: dict[str, int] = {}
    found = []
    for row in rows:
        name = key(f"froc.{row.get('arm')}.{row.get('model')}.{row.get('truth')}")
        step = steps[name] = steps.get(name, -1) + 1
        found += [(name, value, step) for _, value in numbers({"froc": row.get("froc")})]
    return found


def note(body: dict[str, Any]) -> str:
    """Return a run's description in Markdown: how it ended, its rounds, its result rows."""
    lines = [f"**{body['state']}** {body.get('message') or ''}".rstrip()]
    for alarm in body.get("alarms") or []:
        lines += ["", f"**Alarm** {alarm}"]
    for title, columns, rows in (
        ("Results", ROW_COLUMNS, body.get("rows") or []),
        ("Rounds", ROUND_COLUMNS, body.get("rounds") or []),
    ):
        if rows:
            lines += ["", f"### {title}", "", _line(columns), _line(["---"] * len(columns))]
            lines += [_line([_cell(row.get(column)) for column in columns]) for row in rows]
    return _shortened(lines)


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:  # noqa: ANN401  # anything a table row can hold
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", r"\|").replace("\n", " ")


def _shortened(lines: list[str]) -> str:
    text = "\n".join(lines)
    if len(text) <= NOTE_LENGTH:
        return text
    last = "\n\nThe rest is in table.json and in the report."
    kept = text[: NOTE_LENGTH - len(last)]
    return kept[: kept.rindex("\n")] + last if "\n" in kept else kept + last
