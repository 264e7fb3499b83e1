"""The plots of the page, as SVG that takes its colours from the page's style sheet.

Nothing is told by colour alone: every line carries its name at its end, each method has a mark of
its own, and a dashed line with hollow marks is a control that trained longer on unchanged labels.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from storage.report.model import ARMS
from storage.report.text import visible

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from storage.report.model import Curve, FrocPlot, PrecisionPlot, RoundsPlot, TrainingPlot

INK, MUTED, RULE = "#1d2230", "#596172", "#d9dde5"
GREY, BLUE, GREEN, RED = "#6a7080", "#0b62a8", "#00735a", "#b03a00"
VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", GREY: "--grey", BLUE: "--blue",
             GREEN: "--green", RED: "--red"}  # fmt: skip
"""Colours of the light page and the style-sheet variable that takes their place when inlined."""

ARM_COLOURS = {
    "supervised": GREY,
    "supervised_longer": GREY,
    "self": BLUE,
    "self_longer": BLUE,
    "self_extra": GREEN,
    "cooperative": RED,
}
ARM_MARKS = {
    "supervised": ("o", "\N{BLACK CIRCLE}"),
    "supervised_longer": ("o", "\N{WHITE CIRCLE}"),
    "self": ("^", "\N{BLACK UP-POINTING TRIANGLE}"),
    "self_longer": ("^", "\N{WHITE UP-POINTING TRIANGLE}"),
    "self_extra": ("s", "\N{BLACK SQUARE}"),
    "cooperative": ("D", "\N{BLACK DIAMOND}"),
}
"""Of each arm, for matplotlib and in its name."""
OTHER_COLOURS = (BLUE, RED, GREEN, GREY)

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "signetflow",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}

FPS_RANGE = (0.25, 32.0)
FPS_POINTS = (1, 2, 4, 8, 16, 32)
MOST_POINTS = 400
FEW_POINTS = 4
"""A line of so few points needs marks to be seen at all."""
LONGEST_NAME = 40
"""Characters of a name inside a plot."""
MOST_MARKS = 40
MOST_ENDS = 40
"""Rounds whose ends are marked along a training."""
LABEL_GAP = 0.062
"""Smallest distance of two line names, as a share of the plot's height."""


def froc_svg(plot: FrocPlot, name: str) -> Markup:
    """Return the FROC curves of one network; ``name`` makes its ids unique in the page."""
    ends = ", ".join(f"{arm_text(one.name)} {_last(one.y):.2f}" for one in plot.curves)
    with mpl.rc_context(STYLE):
        figure = _froc_figure(plot.curves)
    return inline(figure, name, f"FROC curves of {plot.model}. Recall at the right end: {ends}.")


def save_froc(path: Path, curves: Sequence[Curve]) -> None:
    """Write FROC curves to a file; the suffix decides the format."""
    with mpl.rc_context(STYLE):
        _froc_figure(curves).savefig(path, dpi=160, metadata=_no_date(path.suffix.lower()))


def precision_svg(plot: PrecisionPlot, name: str) -> Markup:
    """Return precision against recall of one network's arms."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.8, 3.9), layout="constrained")
        axes = figure.subplots()
        for index, one in enumerate(plot.curves):
            axes.plot(*thinned(one.x, one.y), **_look(one.name, index) | {"marker": ""})
            axes.plot(one.x[-1:], one.y[-1:], **_look(one.name, index))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        axes.grid(visible=True, axis="x", lw=0.6)
        _plain(axes)
        _name_lines(axes, plot.curves, [_last(one.y) for one in plot.curves])
    ends = ", ".join(
        f"{arm_text(one.name)} {_last(one.y):.2f} at recall {_last(one.x):.2f}"
        for one in plot.curves
    )
    return inline(figure, name, f"Precision of {plot.model} against recall, at the end: {ends}.")


def thinned(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a line with no more points than can be seen, its first and last among them."""
    kept = np.unique(np.linspace(0, max(len(x) - 1, 0), MOST_POINTS).round().astype(int))
    return (x[kept], y[kept]) if len(x) else (x, y)


def training_svg(plot: TrainingPlot, name: str) -> Markup:
    """Return loss and validation of one arm, one above the other over the same epochs."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.1), layout="constrained")
        rows = 1 if plot.validation is None else 2
        axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
        dot = "o" if len(plot.loss.x) < FEW_POINTS else ""
        axes[0].plot(*thinned(plot.loss.x, plot.loss.y), color=GREY, lw=1.6, marker=dot, ms=3.5)
        axes[0].set_xlim(0.5, max(_last(plot.loss.x), 1.0) + 0.5)
        axes[0].set_ylabel("loss")
        if plot.validation is not None:
            _validation(axes[1], plot.validation, plot.best_epoch)
        axes[-1].set_xlabel("epoch")
        axes[-1].xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        for one in axes:
            for end in plot.ends[:MOST_ENDS]:
                one.axvline(end + 0.5, color=MUTED, lw=0.8, ls=(0, (1, 3)))
            _plain(one)
    text = (
        f"Training of {plot.model}, {arm_text(plot.stage)}. Loss ends at {_last(plot.loss.y):.3f}"
    )
    if plot.validation is not None:
        text += f", validation at {_last(plot.validation.y):.3f}"
    return inline(figure, name, f"{text}.")


def rounds_svg(plot: RoundsPlot, name: str) -> Markup:
    """Return one quantity of one network against the round."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.8, 3.1), layout="constrained")
        axes = figure.subplots()
        if plot.band is not None:
            axes.axhspan(*plot.band, facecolor=RULE, alpha=0.45, lw=0)
        for index, one in enumerate(plot.curves):
            x, y = thinned(one.x, one.y)
            axes.plot(x, y, **_look(one.name, index), markevery=_every(x))
        rounds = np.concatenate([one.x for one in plot.curves])
        axes.set_xlim(rounds.min() - 0.15, rounds.max() + 0.15)
        axes.set_xlabel("round")
        axes.set_ylabel(_short_name(plot.quantity))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.set_ylim(bottom=0)
        _plain(axes)
        _name_lines(axes, plot.curves, [_last(one.y) for one in plot.curves])
    ends = ", ".join(f"{arm_text(one.name)} {_short(_last(one.y))}" for one in plot.curves)
    return inline(
        figure, name, f"{plot.model}, {plot.quantity} against the round, at the end: {ends}."
    )


def _every(x: NDArray[np.float64]) -> int:
    """Return which points of a line to mark so that marks can be told apart."""
    return -(-len(x) // MOST_MARKS) or 1


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def arm_text(arm: str) -> str:
    """Return what people read for an arm or any other line."""
    return ARMS.get(arm, arm)


def inline(figure: Figure, name: str, description: str) -> Markup:
    """Return a figure as SVG to stand inside the page.

    No namespace, metadata or style of its own; ids begin with ``name``; colours are variables.
    """
    stream = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(stream, format="svg", transparent=True, metadata=_no_date(".svg"))
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL
    )
    text = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = text.replace("xlink:href", "href")
    box = re.search(r'viewBox="[^"]*"', text)
    label = f'role="img" aria-label="{escape(visible(description))}"'
    opening = f'<svg class="plot" {label} {box[0] if box else ""}>'
    text = re.sub(r"<svg[^>]*>", lambda _: opening, text, count=1)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return Markup(text)  # noqa: S704  # made here; the one foreign text in it is escaped


def _no_date(suffix: str) -> dict[str, None]:
    """Return metadata without a date, so that equal data gives an equal file."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix, {})


def _froc_figure(curves: Sequence[Curve]) -> Figure:
    figure = Figure(figsize=(5.8, 3.9), layout="constrained")
    axes = figure.subplots()
    for index, one in enumerate(curves):
        x, y = _within(one.x, one.y)
        axes.step(x, y, where="post", **_look(one.name, index) | {"marker": ""})
        heights = y[np.searchsorted(x, FPS_POINTS, side="right") - 1]
        axes.plot(FPS_POINTS, heights, **_look(one.name, index) | {"ls": ""}, clip_on=False)
    axes.set_xscale("log", base=2)
    axes.set_xlim(*FPS_RANGE)
    axes.set_ylim(0, 1)
    axes.set_xticks([0.25, 0.5, 1, 2, 4, 8, 16, 32], ["¼", "½", "1", "2", "4", "8", "16", "32"])
    axes.minorticks_off()
    axes.set_xlabel("false positives per image")
    axes.set_ylabel("recall")
    axes.grid(visible=True, axis="x", lw=0.6)
    _plain(axes)
    _name_lines(axes, curves, [_last(_within(one.x, one.y)[1]) for one in curves])
    return figure


def _within(
    fps: NDArray[np.float64], recall: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a curve from the left to the right border of the plot, thinned to what can be seen."""
    places = np.geomspace(*FPS_RANGE, MOST_POINTS)
    before = np.searchsorted(fps, places, side="right")
    heights = np.concatenate([np.zeros(1), np.maximum.accumulate(recall)])[before]
    kept = np.ones(MOST_POINTS, np.bool_)
    kept[1:-1] = np.diff(heights)[:-1] != 0
    return places[kept], heights[kept]


def _validation(axes: Axes, validation: Curve, best_epoch: float | None) -> None:
    x, y = thinned(validation.x, validation.y)
    axes.plot(x, y, color=BLUE, lw=1.6, marker="o", ms=3.5, markevery=_every(x))
    axes.set_ylabel("validation FROC")
    if best_epoch is not None:
        axes.axvline(best_epoch, color=RED, lw=1, ls=(0, (2, 2)))
        axes.annotate(
            "kept", (best_epoch, 0), xycoords=("data", "axes fraction"),
            xytext=(4, 4), textcoords="offset points", va="bottom", color=RED, fontsize=9,
        )  # fmt: skip


def _look(name: str, index: int) -> dict[str, Any]:
    """Return colour, line and mark of an arm or of any other line."""
    colour = ARM_COLOURS.get(name, OTHER_COLOURS[index % len(OTHER_COLOURS)])
    control = name.endswith("_longer")
    return {
        "color": colour, "lw": 1.8, "ls": (0, (4, 2)) if control else "-", "ms": 5,
        "marker": ARM_MARKS.get(name, ("o", ""))[0], "mfc": "none" if control else colour,
    }  # fmt: skip


def _plain(axes: Axes) -> None:
    axes.grid(visible=True, axis="y", lw=0.6)
    axes.tick_params(length=0, pad=6)


def _short_name(name: str) -> str:
    """Return a name that leaves room for the plot."""
    shown = visible(name)
    return shown if len(shown) <= LONGEST_NAME else f"{shown[:LONGEST_NAME]}\N{HORIZONTAL ELLIPSIS}"


def _name_lines(axes: Axes, curves: Sequence[Curve], ends: Sequence[float]) -> None:
    """Write each line's mark and name beside its right end, apart from each other."""
    low, high = axes.get_ylim()
    places = spread([(end - low) / (high - low) for end in ends], LABEL_GAP, lowest=0.02)
    for index, (one, place) in enumerate(zip(curves, places, strict=True)):
        mark = ARM_MARKS.get(one.name, ("", ""))[1]
        found = "" if len(one.x) else " (found nothing)"
        text = f"{mark} {_short_name(arm_text(one.name))}{found}".strip()
        axes.annotate(
            text, (1, place), xycoords="axes fraction", xytext=(12, 0), textcoords="offset points",
            va="center", color=_look(one.name, index)["color"], fontsize=9.5,
        )  # fmt: skip


def spread(places: Sequence[float], gap: float, lowest: float = -np.inf) -> list[float]:
    """Return places in the same order, moved apart to at least ``gap`` and as little as needed.

    None is below ``lowest``.
    """
    order = np.argsort(places, kind="stable")
    # Subtracting the ranks turns "at least a gap apart" into "rising"; the closest rising
    # sequence is the isotonic regression, found by pooling neighbours that fall.
    pools: list[list[float]] = []
    for rank, index in enumerate(order):
        pools.append([places[index] - rank * gap])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            last = pools.pop()
            pools[-1] += last
    flat = [max(float(np.mean(pool)), lowest) for pool in pools for _ in pool]
    moved = [0.0] * len(flat)
    for rank, index in enumerate(order):
        moved[index] = flat[rank] + rank * gap
    return moved


def _last(values: NDArray[np.float64]) -> float:
    return float(values[-1]) if len(values) else 0.0
