"""The page of a study, and the same as plain data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from storage.report.comparison import MEASURES
from storage.report.model import ARMS
from storage.report.remarks import not_comparable, not_concluded
from storage.report.text import figure, listed, number, percent, shown, signed
from storage.report.verdicts import overview, statement, verdict_of

if TYPE_CHECKING:
    from storage.report.comparison import Beside, ComparedRow, Comparison
    from storage.report.verdicts import Statement

MODES = ("easy", "hard")


def build_study_page(data: Comparison) -> str:
    """Return the page as HTML: self-contained, readable without colour, with or without light."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, finalize=shown,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        figure=figure, signed=signed, percent=percent, arm=lambda arm: ARMS.get(arm, arm),
        listed=listed, number=number,
    )  # fmt: skip
    told = statements(data)
    return environment.get_template("study.html").render(
        data=data,
        paper=data.paper,
        measures=MEASURES,
        tables=_tables(data),
        statements=told,
        overview=overview(told) if told else "",
        facts=_facts(data),
        not_comparable=not_comparable(data),
        not_concluded=not_concluded(data),
    )


def statements(data: Comparison) -> list[Statement]:
    """Return what each method is above its control, under the truth that says most."""
    truth = main_truth(data)
    found = [row.over_control for row in data.rows if row.truth == truth and row.over_control]
    return [statement(one.gain, data.confidence) for one in found]


def main_truth(data: Comparison) -> str:
    """Return the truth that is read first: the complete one where it is known."""
    return "complete" if any(row.truth == "complete" for row in data.rows) else "partial"


def _tables(data: Comparison) -> list[tuple[str, str, list[ComparedRow]]]:
    """Return mode, truth and rows of each table; what is counted as in the paper comes first."""
    places = [(mode, truth) for truth in ("partial", "complete") for mode in MODES]
    found = [
        (mode, truth, [row for row in data.rows if (row.mode, row.truth) == (mode, truth)])
        for mode, truth in places
    ]
    return [one for one in found if one[2]]


def _facts(data: Comparison) -> list[tuple[str, str, str]]:
    published = dict(data.paper.data)
    return [(name, text, published.get(name, "")) for name, text in data.data.items()]


def public(data: Comparison) -> dict[str, Any]:
    """Return a study as JSON holds it."""
    paper = data.paper
    return {
        "study": paper.study,
        "title": paper.title,
        "citation": paper.citation,
        "confidence": data.confidence,
        "rows": [_public_row(row, data) for row in data.rows],
        "published": [asdict(row) for row in paper.rows],
        "data": dict(data.data),
        "published_data": dict(paper.data),
        "made_up": data.made_up,
        "not_comparable": not_comparable(data),
        "not_concluded": not_concluded(data),
    }


def _public_row(row: ComparedRow, data: Comparison) -> dict[str, Any]:
    published = data.paper.row(row.mode, row.arm)
    return {
        **{name: getattr(row, name) for name in _PLAIN},
        "paper_name": data.paper.name_of(row.arm),
        **{name: asdict(row.figures[name]) for name in MEASURES},
        "published": asdict(published) if published else None,
        "over_supervised": _public_beside(row.over_first, data),
        "over_control": _public_beside(row.over_control, data),
    }


_PLAIN = ("mode", "truth", "model", "arm", "fps_basis", "n_trials", "n_slides", "n_steps")


def _public_beside(one: Beside | None, data: Comparison) -> dict[str, Any] | None:
    if one is None:
        return None
    figures = {name: asdict(one.figures[name]) for name in MEASURES}
    verdict = verdict_of(one.gain, data.confidence).value
    return {"arm": one.gain.control, "steps": one.gain.control_steps, "verdict": verdict, **figures}
