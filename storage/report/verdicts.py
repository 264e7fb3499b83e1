"""What a difference says in plain words, the negative like the positive, and what to mind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from storage.report.model import ARMS, CONTROLS
from storage.report.text import figure, listed, percent, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.report.model import ArmRow, Gain

FEW_SLIDES = 10
"""Under so many slides a bootstrap interval is too narrow to be taken at its word."""


class Verdict(StrEnum):
    """What may be said of an arm beside its control."""

    GAIN = "gain shown"
    NONE = "no gain shown"
    LOSS = "worse than its control"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True, slots=True)
class Statement:
    """One comparison in words."""

    gain: Gain
    verdict: Verdict
    text: str


def verdict_of(interval: tuple[float, float] | None) -> Verdict:
    """Return what an interval of a difference shows; touching zero shows nothing."""
    if interval is None:
        return Verdict.UNKNOWN
    if interval[0] > 0:
        return Verdict.GAIN
    return Verdict.LOSS if interval[1] < 0 else Verdict.NONE


def statement(gain: Gain, confidence: float) -> Statement:
    """Return a comparison as two sentences that stand on their own."""
    verdict = verdict_of(gain.interval)
    steps = (
        "which took as many steps"
        if gain.n_steps == gain.control_steps
        else f"{gain.n_steps:,} steps against {gain.control_steps:,}"
    )
    text = (
        f"FROC {figure(gain.froc)} against {figure(gain.control_froc)} of its control "
        f"({ARMS.get(gain.control, gain.control)}, {steps}): {signed(gain.difference)}"
    )
    if gain.interval is not None:
        low, high = (signed(end) for end in gain.interval)
        text += f", {percent(confidence, 0)} interval {low} to {high}"
    return Statement(gain, verdict, f"{text}. {_MEANING[verdict]}")


_MEANING = {
    Verdict.GAIN: "All of the interval lies above zero.",
    Verdict.NONE: "The interval holds zero: on these slides the difference cannot be told from "
    "chance.",
    Verdict.LOSS: "All of the interval lies below zero: what was done to the labels did harm.",
    Verdict.UNKNOWN: "There is no interval: that takes two test slides with annotated cells.",
}


def overview(statements: Sequence[Statement]) -> str:
    """Return how many comparisons came out how, in one sentence."""
    counts = [(one, sum(s.verdict is one for s in statements)) for one in Verdict]
    told = [f"{n} {_COUNTED[one][n > 1]}" for one, n in counts if n]
    noun = "comparison" if len(statements) == 1 else "comparisons"
    return f"Of {len(statements)} {noun} with a control, {listed(told)}."


_COUNTED = {
    Verdict.GAIN: ("shows a gain", "show a gain"),
    Verdict.NONE: ("shows no gain", "show no gain"),
    Verdict.LOSS: ("is worse", "are worse"),
    Verdict.UNKNOWN: ("cannot be told", "cannot be told"),
}
"""For one, and for several."""


def cautions(rows: Sequence[ArmRow], gains: Sequence[Gain]) -> list[str]:
    """Return what a reader should keep in mind about these very numbers, a sentence each."""
    found = [*_about_truth(rows), *_about_slides(rows), *_about_controls(rows)]
    seeds = {row.seed for row in rows}
    if len(seeds) == 1:
        found.append(
            "One seed was run. What another seed changes, without any change of method, is not in "
            "the intervals: they know of slides only."
        )
    if len(gains) > 1:
        found.append(
            f"{len(gains)} comparisons were made. Of 20 without any effect, about one shows a "
            "gain or a loss by chance at 95 %."
        )
    return found


def _about_truth(rows: Sequence[ArmRow]) -> list[str]:
    found = []
    if rows and all(row.truth == "partial" for row in rows):
        found.append(
            "Only the annotations that a person made are known. Recall is of those cells, and "
            "precision is not given: a detection without an annotation may be right."
        )
    bases = {row.fps_basis for row in rows}
    if "unmatched_on_partial" in bases:
        found.append(
            "False positives are unmatched detections on partly annotated images. Cells that "
            "nobody marked count as errors: good to compare arms, not to report."
        )
    if "complete_images" in bases:
        found.append(
            "There is no normal tissue in the test part: false positives are counted on "
            "completely annotated images, and are not those of a normal region."
        )
    return found


def _about_slides(rows: Sequence[ArmRow]) -> list[str]:
    known = {(row.mode, row.fold): row.n_slides for row in rows if row.n_slides is not None}
    few = sorted((place, n) for place, n in known.items() if n < FEW_SLIDES)
    if not few:
        return []
    shown = [f"{mode} fold {fold}: {n}" for (mode, fold), n in few[:6]]
    more = [f"{len(few) - 6} more"] if len(few) > 6 else []
    return [
        f"Few test slides have annotated cells ({listed([*shown, *more])}). Intervals over fewer "
        f"than {FEW_SLIDES} slides are too narrow; over two or three they say next to nothing."
    ]


def _about_controls(rows: Sequence[ArmRow]) -> list[str]:
    arms = {row.arm for row in rows}
    alone = [ARMS[arm] for arm, control in CONTROLS.items() if arm in arms and control not in arms]
    if not alone:
        return []
    return [
        f"Run without its control: {listed(alone)}. A difference from another arm can come from "
        f"longer training alone."
    ]
