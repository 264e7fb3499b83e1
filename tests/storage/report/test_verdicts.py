from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.report.model import Gain
from storage.report.verdicts import (
    Verdict,
    cautions,
    fewest_slides,
    overview,
    statement,
    verdict_of,
)

GAIN = Gain(
    "hard", "net", "complete", "self", "supervised_longer", 1, 8, 0.5, 0.4, (0.01, 0.2), 9, 9
)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.01, 0.2), Verdict.GAIN),
        ((0.0, 0.2), Verdict.NONE),  # touching zero shows nothing
        ((-0.1, 0.1), Verdict.NONE),
        ((0.0, 0.0), Verdict.NONE),
        ((-0.1, 0.0), Verdict.NONE),
        ((-0.2, -0.1), Verdict.LOSS),
        (None, Verdict.UNKNOWN),
    ],
)
def test_a_gain_is_shown_when_its_whole_interval_is_above_zero(interval, expected):
    assert verdict_of(replace(GAIN, interval=interval), 0.95) is expected


@pytest.mark.parametrize(("confidence", "least"), [(0.5, 2), (0.9, 5), (0.95, 6), (0.99, 8)])
def test_no_interval_over_too_few_slides_shows_anything(confidence, least):
    # All n slides agree by chance with probability 2 ** (1 - n).
    assert 2 ** (1 - least) <= 1 - confidence < 2 ** (2 - least)
    assert fewest_slides(confidence) == least
    enough, few = replace(GAIN, n_slides=least), replace(GAIN, n_slides=least - 1)
    assert verdict_of(enough, confidence) is Verdict.GAIN
    assert verdict_of(few, confidence) is Verdict.UNKNOWN


def test_too_few_slides_are_told_in_words():
    told = statement(replace(GAIN, n_slides=3), 0.95).text
    assert "3 test slides have annotated cells, 6 are the least to tell anything by" in told
    assert "all 3 would agree once in 4 runs" in told
    assert "+0.010 to +0.200" in told  # the interval itself is not hidden
    assert "1 test slide has annotated cells" in statement(replace(GAIN, n_slides=1), 0.95).text


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_gain_turned_round_is_a_loss(one, other):
    low, high = sorted([one, other])
    turned = {Verdict.GAIN: Verdict.LOSS, Verdict.LOSS: Verdict.GAIN}
    verdict = verdict_of(replace(GAIN, interval=(low, high)), 0.95)
    back = verdict_of(replace(GAIN, interval=(-high, -low)), 0.95)
    assert back is turned.get(verdict, verdict)


def test_a_statement_names_both_numbers_the_interval_and_the_steps():
    told = statement(GAIN, 0.9).text
    assert "FROC 0.500 against 0.400 of its control (supervised, longer, which took as many" in told
    assert "+0.100, 90\N{NO-BREAK SPACE}% interval +0.010 to +0.200." in told
    uneven = statement(replace(GAIN, control_steps=8), 0.95).text
    assert "9 steps against 8" in uneven


def test_without_an_interval_nothing_is_claimed():
    told = statement(replace(GAIN, interval=None), 0.95)
    assert told.verdict is Verdict.UNKNOWN
    assert "No interval was drawn" in told.text


def test_the_overview_counts_every_outcome():
    intervals = [(0.1, 0.2), (0.1, 0.2), (-0.1, 0.1), (-0.2, -0.1), None]
    told = overview([statement(replace(GAIN, interval=one), 0.95) for one in intervals])
    assert told == (
        "Of 5 comparisons with a control, 2 show a gain, 1 shows no gain, 1 is worse and "
        "1 cannot be told."
    )
    assert overview([statement(GAIN, 0.95)]).startswith("Of 1 comparison with")


def told_of(rows, gains=(GAIN,)):
    return " ".join(cautions(rows, gains))


def test_few_slides_one_seed_and_many_comparisons_are_warned_of(report):
    rows = report.rows
    assert "hard fold 0: 4" in told_of(rows)
    assert "Few test slides" not in told_of([replace(row, n_slides=10) for row in rows])
    assert "One seed" in told_of(rows)
    assert "One seed" not in told_of([*rows, replace(rows[0], seed=1)])
    assert "comparisons were made" not in told_of(rows)
    assert "2 comparisons were made" in told_of(rows, (GAIN, GAIN))


def test_the_list_of_small_folds_is_no_longer_than_a_line(report):
    rows = [replace(report.rows[0], fold=fold) for fold in range(9)]
    assert "hard fold 5: 4 and 3 more" in told_of(rows)


def test_what_partial_truth_and_the_basis_mean_is_said(report):
    row = report.rows[0]
    partial = replace(row, truth="partial", fps_basis="unmatched_on_partial")
    assert "a detection without an annotation may be right" in told_of([partial])
    assert "Cells that nobody marked count as errors" in told_of([partial])
    assert "no normal tissue" in told_of([replace(row, fps_basis="complete_images")])
    assert "no normal tissue" not in told_of([row])


def test_an_arm_without_its_control_is_named(report):
    rows = [row for row in report.rows if row.arm != "self_longer"]
    told = told_of(rows)
    assert "Run without its control: self-training, extra regions and cooperative." in told
    assert "without its control" not in told_of(report.rows)
