"""Who is champion, by whom and why; and the way back."""

import json
import re
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import IntegrityError, NotFoundError
from storage.champion import Standing, _before, history, log_path, roll_back, stand, standing
from storage.layout import Kind, Ref, Workspace


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path)


def checkpoint(letter):
    return Ref(Kind.CHECKPOINT, letter * 32)


def promoted(at, *letters):
    for letter in letters:
        stand(at, "champion", checkpoint(letter), by="ada", reason=f"better than {letter}")


def test_the_last_change_of_a_name_counts_and_all_are_kept(at):
    assert standing(at, "champion") is None
    promoted(at, "a", "b")
    stand(at, "challenger", checkpoint("c"), by="rule", reason="new")
    now = standing(at, "champion")
    assert now is not None
    assert (now.ref, now.by, now.reason) == (checkpoint("b"), "ada", "better than b")
    assert [(one.name, one.checkpoint[0]) for one in history(at)] == [
        ("champion", "a"), ("champion", "b"), ("challenger", "c"),
    ]  # fmt: skip


def test_the_same_again_changes_nothing(at):
    promoted(at, "a", "a")
    assert len(history(at)) == 1


def test_the_champion_before_comes_back_and_then_the_one_before_that(at):
    promoted(at, "a", "b", "c")
    assert roll_back(at, by="eve", reason="ink").ref == checkpoint("b")
    assert roll_back(at, by="eve", reason="ink").ref == checkpoint("a")
    with pytest.raises(NotFoundError, match="no champion before this one"):
        roll_back(at, by="eve", reason="ink")
    assert len(history(at)) == 5


def test_a_damaged_log_is_an_error_and_stays_as_it_is(at):
    promoted(at, "a")
    log_path(at).write_text("{")
    with pytest.raises(IntegrityError, match="cannot be read"):
        stand(at, "champion", checkpoint("b"), by="ada", reason="x")
    assert log_path(at).read_text() == "{"


def test_two_changes_within_a_second_have_times_of_their_own(at):
    promoted(at, "a")
    assert re.search(r":\d\d\.\d{3}\+00:00$", history(at)[0].at)


def test_every_line_is_json_by_itself(at):
    promoted(at, "a", "b")
    lines = log_path(at).read_text().splitlines()
    assert [json.loads(line)["checkpoint"][0] for line in lines] == ["a", "b"]


@given(st.lists(st.sampled_from("abc"), max_size=8))
def test_rolling_back_undoes_the_last_promotion_that_still_counts(letters):
    kept = [one for one, _ in groupby(letters)]
    changes = tuple(Standing("champion", one, "x", "y", "z") for one in kept)
    back = _before(changes)
    if back is not None:
        assert back.digest != changes[-1].checkpoint
    again = (*changes, Standing("champion", "new", "x", "y", "z"))
    returned = _before(again)
    assert (returned.digest if returned else None) == (kept[-1] if kept else None)
