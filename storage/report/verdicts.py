"""What a difference says in plain words, the negative like the positive, and what to mind."""

from __future__ import annotations

import math
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


def fewest_slides(confidence: float) -> int:
    """Return over how many slides a difference can be told at all.

    If nothing changed, a slide is better or worse by the toss of a coin: all ``n`` agree with
    probability ``2 ** (1 - n)``. Where that is more than ``1 - confidence``, no interval over
    slides can back a claim, however narrow it comes out: resamples of two slides are three sets.
    """
    return math.ceil(1 - math.log2(1 - confidence))


def verdict_of(gain: Gain, confidence: float) -> Verdict:
    """Return what the interval of a difference shows; touching zero shows nothing."""
    if gain.interval is None or gain.n_slides < fewest_slides(confidence):
        return Verdict.UNKNOWN
    if gain.interval[0] > 0:
        return Verdict.GAIN
    return Verdict.LOSS if gain.interval[1] < 0 else Verdict.NONE


def statement(gain: Gain, confidence: float) -> Statement:
    """Return a comparison as two sentences that stand on their own."""
    verdict = verdict_of(gain, confidence)
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
    meaning = _too_few(gain, confidence) if verdict is Verdict.UNKNOWN else _MEANING[verdict]
    return Statement(gain, verdict, f"{text}. {meaning}")


_MEANING = {
    Verdict.GAIN: "All of the interval lies above zero.",
    Verdict.NONE: "The interval holds zero: on these slides the difference cannot be told from "
    "chance.",
    Verdict.LOSS: "All of the interval lies below zero: here the changed labels did harm.",
}


def _too_few(gain: Gain, confidence: float) -> str:
    least = fewest_slides(confidence)
    if gain.n_slides >= least:
        return "No interval was drawn (evaluation.bootstrap is 0)."
    noun = "test slide has" if gain.n_slides == 1 else "test slides have"
    told = f"{gain.n_slides} {noun} annotated cells, {least} are the least to tell anything by"
    if gain.n_slides < 2:
        return f"{told}."
    odds = 2 ** (gain.n_slides - 1)
    return f"{told}: if nothing had changed, all {gain.n_slides} would agree once in {odds} runs."


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
        f"than {FEW_SLIDES} slides are narrower than what is known: one in ten of them, or more, "
        f"leaves out zero where there is no difference."
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
