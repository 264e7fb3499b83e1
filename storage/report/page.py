"""The report page: one HTML file without anything from outside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from storage.report.overlays import KINDS, OUTCOMES, counts, legend_svg, panels_svg
from storage.report.plots import froc_svg, precision_svg, rounds_svg, training_svg
from storage.report.tables import arm_name, furthest, groups_shown, table_groups, within
from storage.report.text import figure, listed, number, percent, shown, signed
from storage.report.verdicts import cautions, overview, statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from storage.report.model import (
        ArmRow,
        CropPanel,
        CropStory,
        Example,
        FoundPanel,
        Gain,
        ReportData,
        RoundCard,
    )

BASES = {
    "negative_images": "on negative images",
    "complete_images": "on completely annotated images",
    "unmatched_on_partial": "on partly annotated images, where unmarked cells count as errors",
}
BAR_WIDTH = 120
"""Of the little interval plots, in their own units."""

MOST_PLOTS = {"froc": 12, "precision": 8, "curves": 16, "training": 18}
MOST_STORIES = 8
MOST_EXAMPLES = 12
MOST_PANELS = 8
"""Of one piece of tissue: the first and the last."""
MOST_PICTURE_BYTES = 2_000_000
"""Of the stories, and of the examples, together: one always stays."""
MOST_CARDS = 200
MOST_REFUSED = 50
MOST_BREAKDOWNS = 18


@dataclass(frozen=True, slots=True)
class Panel:
    """One moment of a crop, or one network's view of it."""

    title: str
    counts: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class Story:
    """One crop through the rounds, or as several networks see it."""

    caption: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """The rounds of one arm of one network."""

    title: str
    cards: tuple[RoundCard, ...]


def build_page(data: ReportData) -> str:
    """Return the page as HTML: self-contained, readable without colour, with or without light.

    Everything that came from a user, such as file names, is made visible and escaped by the
    template. What would make the page large is shown in part, and the page says so.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, finalize=shown,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        figure=figure, signed=signed, percent=percent, bar=bar, arm=arm_name, listed=listed
    )
    return environment.get_template("template.html").render(
        data=data, bar_width=BAR_WIDTH, **_outcome(data), **_tables(data), **_pictures(data)
    )


def _outcome(data: ReportData) -> dict[str, Any]:
    """Return what the page says first: what came out, and what to mind."""
    truth = main_truth(data.rows)
    gains = [gain for gain in data.gains if gain.truth == truth]
    statements = [statement(gain, data.measures.confidence) for gain in gains]
    rows = [row for row in data.rows if row.truth == truth]
    return {
        "truth": truth,
        "statements": statements,
        "overview": overview(statements) if statements else "",
        "cautions": cautions(rows, gains),
        "reach": _reach(gains),
    }


def main_truth(rows: Sequence[ArmRow]) -> str:
    """Return the truth that is shown first: the complete one where it is known."""
    return "complete" if any(row.truth == "complete" for row in rows) else "partial"


def _reach(gains: Sequence[Gain]) -> float:
    """Return how far from zero the little plots of gains must reach."""
    ends = [abs(end) for gain in gains for end in (*(gain.interval or ()), gain.difference)]
    return float(math.ceil(20 * max([0.01, *ends]))) / 20


def _tables(data: ReportData) -> dict[str, Any]:
    groups, groups_left_out = within(table_groups(data.rows))
    chains = _chains(data.rounds[:MOST_CARDS])
    return {
        "groups": groups,
        "groups_left_out": groups_left_out,
        "bases": sorted({BASES.get(row.fps_basis, row.fps_basis) for row in data.rows}),
        "points": listed([number(point) for point in data.measures.fps_points]),
        "breakdowns": [groups_shown(one) for one in data.breakdowns[:MOST_BREAKDOWNS]],
        "furthest": furthest,
        "chains": chains,
        "rounds_left_out": len(data.rounds) - sum(len(chain.cards) for chain in chains),
        "most_refused": MOST_REFUSED,
    }


def _chains(cards: Sequence[RoundCard]) -> list[Chain]:
    chains: dict[str, list[RoundCard]] = {}
    for card in cards:
        trial = f" ({card.trial})" if card.trial else ""
        chains.setdefault(f"{arm_name(card.arm)}, {card.model}{trial}", []).append(card)
    return [Chain(title, tuple(cards)) for title, cards in chains.items()]


def _pictures(data: ReportData) -> dict[str, Any]:
    complete_first = sorted(data.froc, key=lambda plot: plot.truth != "complete")
    plots = {
        "froc": (complete_first, froc_svg),
        "precision": (data.precision, precision_svg),
        "curves": (data.curves, rounds_svg),
        "training": (data.training, training_svg),
    }
    drawn: dict[str, Any] = {}
    for name, (every, draw) in plots.items():
        kept = every[: MOST_PLOTS[name]]
        drawn[name] = [(one, draw(one, f"{name}{i}")) for i, one in enumerate(kept)]  # type: ignore[operator]  # each with its own
        drawn[f"{name}_left_out"] = len(every) - len(kept)
    stories = _stories(data.crops[:MOST_STORIES], "crop")
    examples = _stories(data.examples[:MOST_EXAMPLES], "seen")
    return drawn | {
        "stories": stories,
        "stories_left_out": len(data.crops) - len(stories),
        "examples": examples,
        "examples_left_out": len(data.examples) - len(examples),
        "legend": [(kind.text, legend_svg(kind)) for kind in reversed(KINDS)],
        "outcomes": [(kind.text, legend_svg(kind)) for kind in reversed(OUTCOMES)],
    }


def _stories(pieces: Sequence[CropStory | Example], name: str) -> list[Story]:
    """Return the pieces of tissue that there is room for, ids beginning with ``name``."""
    kept: list[Story] = []
    n_bytes = 0
    for index, piece in enumerate(pieces):
        story = _story(piece, f"{name}{index}")
        n_bytes += sum(len(panel.svg) for panel in story.panels)
        if kept and n_bytes > MOST_PICTURE_BYTES:
            break
        kept.append(story)
    return kept


def _story(story: CropStory | Example, name: str) -> Story:
    panels: tuple[CropPanel | FoundPanel, ...] = story.panels
    if len(panels) > MOST_PANELS:
        panels = (panels[0], *panels[1 - MOST_PANELS :])
    drawn = zip(panels, panels_svg(story, panels, name), strict=True)
    return Story(
        story.caption, tuple(Panel(panel.title, counts(panel), svg) for panel, svg in drawn)
    )


def bar(value: float | None, low: float = 0.0, high: float = 1.0) -> float:
    """Return the place of a value along a little interval plot from ``low`` to ``high``."""
    share = ((value or 0.0) - low) / (high - low)
    return round(BAR_WIDTH * min(max(share, 0.0), 1.0), 1)
