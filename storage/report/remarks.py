"""What may not be laid beside a paper's table, and what a study cannot show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.report.text import listed
from storage.report.verdicts import FEW_SLIDES

if TYPE_CHECKING:
    from storage.report.comparison import Comparison

NEGATIVE = "negative_images"


def not_comparable(data: Comparison) -> list[str]:
    """Return why our numbers and the paper's are of different things, a sentence each."""
    found = []
    if data.made_up:
        found.append(
            "These slides are made up: drawn cells on drawn tissue. How high a number is says "
            "nothing of signet ring cells, nor does its distance from the paper's number."
        )
    else:
        found.append(
            "The data are not the paper's. Its dataset was never published with its folds and "
            "unlabelled regions, so no one can repeat the table itself."
        )
    models = listed(list(dict.fromkeys(row.model for row in data.rows)))
    found.append(
        f"The paper's numbers are of {data.paper.networks}; here the networks are {models}."
    )
    if any(row.fps_basis != NEGATIVE for row in data.rows):
        found.append(
            "There are no normal regions in the test part: false positives, and with them FROC, "
            "are counted on other images than in the paper."
        )
    return [*found, *data.left_out, *data.paper.differences]


def not_concluded(data: Comparison) -> list[str]:
    """Return what the table does not show, a sentence each."""
    found = [
        "A gain over supervised training alone does not show that better labels helped: the arm "
        "also trained longer. Only what lies above the control does.",
        "Easy folds share slides between training and test. Their numbers are no forecast for the "
        "slides of another patient.",
    ]
    if data.n_seeds == 1:
        found.append(
            "One seed was run. What another seed changes, without any change of method, is not in "
            "the intervals: they know of slides only."
        )
    slides = min((row.n_slides for row in data.rows), default=0)
    if slides < FEW_SLIDES:
        found.append(
            f"Only {slides} test slides have annotated cells. Intervals over fewer than "
            f"{FEW_SLIDES} slides are narrower than what is known."
        )
    comparisons = [row for row in data.rows if row.over_control is not None]
    if len(comparisons) > 1:
        found.append(
            f"{len(comparisons)} comparisons with a control were made. Of 20 without any effect, "
            f"about one shows a gain or a loss by chance at 95 %."
        )
    if any(row.truth == "partial" for row in data.rows):
        found.append(
            "Under partial truth recall is of the cells that a person marked, and precision is not "
            "known: a detection without an annotation may be right."
        )
    if data.made_up:
        found.append(
            "That a method helps on made-up slides does not show that it helps on real ones."
        )
    return found
