"""The report page: one HTML file without anything from outside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from storage.report.model import ARMS, CONTROLS
from storage.report.overlays import KINDS, counts, legend_svg, panels_svg
from storage.report.plots import froc_svg, growth_svg, training_svg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from storage.report.model import ArmRow, CropStory, ReportData

BASES = {
    "negative_images": "on negative images",
    "complete_images": "on completely annotated images",
    "unmatched_on_partial": "on partly annotated images, where unmarked cells count as errors",
}
DASH = "\N{EN DASH}"
BAR_WIDTH = 120
"""Of the little interval plots, in their own units."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One arm with its control beside it."""

    row: ArmRow
    name: str
    control: ArmRow | None
    is_control: bool

    @property
    def gain(self) -> float | None:
        """FROC over that of the control."""
        return None if self.control is None else self.row.froc - self.control.froc

    @property
    def control_name(self) -> str:
        """Return what people read for the control."""
        return "" if self.control is None else arm_name(self.control.arm)


@dataclass(frozen=True, slots=True)
class TableGroup:
    """The arms of one network, fold, seed and kind of truth: what may be compared."""

    title: str
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One moment of a crop."""

    title: str
    counts: str
    svg: Markup


@dataclass(frozen=True, slots=True)
class Story:
    """One crop through the rounds."""

    caption: str
    panels: tuple[Panel, ...]


def build_page(data: ReportData) -> str:
    """Return the page as HTML: self-contained, readable without colour, with or without light.

    Everything that came from a user, such as file names, is escaped by the template.
    """
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(figure=figure, signed=signed, percent=percent, bar=bar, arm=arm_name)
    return environment.get_template("template.html").render(
        data=data,
        groups=table_groups(data.rows),
        bases=sorted({BASES.get(row.fps_basis, row.fps_basis) for row in data.rows}),
        froc=[(one, froc_svg(one, f"froc{i}")) for i, one in enumerate(data.froc)],
        training=[(one, training_svg(one, f"loss{i}")) for i, one in enumerate(data.training)],
        growth=[(one, growth_svg(one, f"growth{i}")) for i, one in enumerate(data.growth)],
        stories=[_story(one, f"crop{i}") for i, one in enumerate(data.crops)],
        legend=[(kind.text, legend_svg(kind)) for kind in reversed(KINDS)],
        bar_width=BAR_WIDTH,
    )


def table_groups(rows: Sequence[ArmRow]) -> list[TableGroup]:
    """Return the rows grouped by what may be compared; arms in the order of the method."""
    keys = list(dict.fromkeys(row.group for row in rows))
    models = list(dict.fromkeys(row.model for row in rows))
    groups = []
    for key in sorted(keys, key=lambda key: (*key[:3], models.index(key[3]), key[4])):
        mode, fold, seed, model, truth = key
        arms = {row.arm: row for row in rows if row.group == key}
        order = [*(arm for arm in ARMS if arm in arms), *(arm for arm in arms if arm not in ARMS)]
        groups.append(
            TableGroup(
                f"{model}, {truth} truth ({mode} folds, fold {fold}, seed {seed})",
                tuple(_table_row(arms, arm) for arm in order),
            )
        )
    return groups


def _table_row(arms: dict[str, ArmRow], arm: str) -> TableRow:
    control = arms.get(CONTROLS.get(arm, ""))
    return TableRow(arms[arm], arm_name(arm), control, arm.endswith("_longer"))


def _story(story: CropStory, name: str) -> Story:
    drawn = zip(story.panels, panels_svg(story, name), strict=True)
    return Story(
        story.caption, tuple(Panel(panel.title, counts(panel), svg) for panel, svg in drawn)
    )


def arm_name(arm: str) -> str:
    """Return what people read for an arm."""
    return ARMS.get(arm, arm)


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number for people; a dash where there is none."""
    return DASH if _unknown(value) else f"{value:,.{digits}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """Return a number with its sign, with a real minus."""
    return DASH if _unknown(value) else f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as percent."""
    return DASH if value is None or _unknown(value) else f"{100 * value:.{digits}f} %"


def _unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)


def bar(value: float | None) -> float:
    """Return the place of a share of 1 along a little interval plot."""
    return round(BAR_WIDTH * min(max(value or 0.0, 0.0), 1.0), 1)
