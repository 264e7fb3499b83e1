import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from storage.report.text import LONGEST, figure, listed, percent, shown, signed, visible


def test_numbers_that_are_not_known_are_a_dash():
    assert figure(None) == figure(float("nan")) == signed(None) == percent(None) == "\N{EN DASH}"
    assert signed(-0.0291) == "\N{MINUS SIGN}0.029"
    assert figure(12345.6, 0) == "12,346"
    assert percent(0.953, 0) == "95\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain \u00e4\u4e2d.png", "plain \u00e4\u4e2d.png"),
        ("a\nb\x00", "a\N{SYMBOL FOR LINE FEED}b\N{SYMBOL FOR NULL}"),
        ("\x7f", "\N{SYMBOL FOR DELETE}"),
        ("\u202etxt.exe", "<U+202E>txt.exe"),
        ("\udcff.png", "<U+DCFF>.png"),
        ("x\u200cy", "x\u200cy"),  # joins letters of real scripts
    ],
)
def test_what_hides_or_turns_text_is_shown(name, expected):
    assert visible(name) == expected


@given(st.text(st.characters(), max_size=LONGEST + 5))
def test_a_visible_text_can_be_written_and_printed_on_one_line(text):
    told = visible(text)
    told.encode("utf-8")
    assert len(told.splitlines()) <= 1


def test_markup_and_numbers_pass_as_they_are():
    markup = Markup("<b>\n</b>")
    assert shown(markup) is markup
    assert shown(3) == 3
    assert shown("\t") == "\N{SYMBOL FOR HORIZONTAL TABULATION}"


def test_words_are_listed_as_people_do():
    assert listed(["a"]) == "a"
    assert listed(("a", "b", "c")) == "a, b and c"
