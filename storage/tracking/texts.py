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

DIGITS = 12
"""Of a digest, where a whole one would widen a table; the run's datasets show it in full."""

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


def note(body: dict[str, Any], links: dict[str, str] | None = None) -> str:
    """Return a run's description in Markdown: how it ended, alarms, its rounds, its result rows.

    Parameters
    ----------
    body
        What the event of the ending says.
    links
        Where the page of a round is, by the round's name; ``""`` is where the lineage is.
    """
    links = links or {}
    lines = [f"**{body['state']}** {body.get('message') or ''}".rstrip()]
    if "" in links:
        lines += ["", f"[Lineage of the labels]({links['']}) (lineage.html among the artifacts)"]
    for alarm in body.get("alarms") or []:
        lines += ["", f"**Alarm** {alarm}"]
    for title, columns, rows in (
        ("Rounds", ROUND_COLUMNS, [_linked(one, links) for one in body.get("rounds") or []]),
        ("Results", ROW_COLUMNS, body.get("rows") or []),
    ):
        if rows:
            lines += ["", f"### {title}", "", _line(columns), _line(["---"] * len(columns))]
            lines += [_line([_cell(row.get(column)) for column in columns]) for row in rows]
    return _shortened(lines)


def _linked(row: dict[str, Any], links: dict[str, str]) -> dict[str, Any]:
    """Return a round with a link on its name and digests as short as people read them."""
    short = {name: str(row[name])[:DIGITS] for name in ("labels_in", "labels_out") if row.get(name)}
    page = links.get(str(row.get("name")))
    return row | short | ({"name": f"[{row['name']}]({page})"} if page else {})


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
