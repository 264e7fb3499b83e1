"""Which round is kept, and when rounds look like a network that confirms itself."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.methods.evidence import Measured, choose, confirmation_bias
from models.methods.settings import AlarmSettings

RULE = AlarmSettings()


def measured(fps, recall):
    return Measured(0.5, recall, fps)


# Li et al. 2019, table 1: FT, ST, ST-Ex, CT; false positives on normal regions, instance recall.
EASY = [(0.446, 0.462), (2.29, 0.673), (5.22, 0.638), (1.45, 0.705)]
HARD = [(0.202, 0.325), (1.18, 0.521), (4.62, 0.505), (0.943, 0.658)]


@pytest.mark.parametrize("table", [EASY, HARD])
def test_the_papers_own_table_raises_the_alarm_where_it_should(table):
    supervised, own, extra, cooperative = (measured(*row) for row in table)
    assert confirmation_bias(supervised, own, RULE) == ""
    assert "confirmation bias" in confirmation_bias(own, extra, RULE)
    assert confirmation_bias(own, cooperative, RULE) == ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1.0, 0.5), (1.4, 0.5)),  # too few more
        ((5.0, 0.5), (6.0, 0.5)),  # too small a factor
        ((1.0, 0.5), (3.0, 0.53)),  # recall still rises
        ((math.nan, 0.5), (3.0, 0.5)),  # no normal region
        ((1.0, math.nan), (3.0, 0.5)),
        ((3.0, 0.5), (1.0, 0.5)),
    ],
)
def test_no_alarm_without_both_signs(before, after):
    assert confirmation_bias(measured(*before), measured(*after), RULE) == ""


def test_false_positives_out_of_nothing_are_a_rise():
    said = confirmation_bias(measured(0.0, 0.5), measured(0.6, 0.5), RULE)
    assert "from 0.00 to 0.60 per region, recall only from 0.500 to 0.500" in said


def test_a_choice_says_why():
    assert choose([0.4, 0.42], 0.05).reason.startswith("the last round: validation FROC 0.420")
    rolled_back = choose([0.4, 0.3], 0.05)
    assert (rolled_back.kept, rolled_back.reason) == (
        0,
        "rolled back: validation FROC of the last round is 0.300, the best had 0.400, more than "
        "0.05 above",
    )
    assert "nothing to validate on" in choose([math.nan], 0.05).reason
    assert "unknown" in choose([0.4, math.nan], 0.05).reason


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.1, 0.4, 0.3], 1),
        ([0.4, 0.42, 0.38], 2),
        ([0.4, 0.36, 0.34], 1),
        ([0.4, 0.4], 1),
        ([math.nan, 0.2, 0.1], 1),
        ([math.nan, math.nan], 1),
        ([0.0], 0),
    ],
)
def test_the_last_round_that_is_not_clearly_worse_is_kept(scores, kept):
    assert choose(scores, 0.05).kept == kept


@given(st.lists(st.floats(0, 1) | st.just(math.nan), min_size=1, max_size=6), st.floats(0, 1))
def test_the_kept_round_is_within_the_margin_and_none_after_it_is(scores, margin):
    kept = choose(scores, margin).kept
    known = [score for score in scores if not math.isnan(score)]
    if not known:
        assert kept == len(scores) - 1
        return
    assert scores[kept] >= max(known) - margin
    assert not any(score >= max(known) - margin for score in scores[kept + 1 :])
