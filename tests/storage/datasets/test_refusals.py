import pytest

from storage.datasets.protocol import RefusedItem
from storage.datasets.refusals import MOST_NAMED, Refusals, note_refusals, refusals_of
from storage.layout import Kind, Ref, Workspace

REF, LATER = Ref(Kind.DATASET, "a" * 32), Ref(Kind.DATASET, "b" * 32)
BAD, WORSE = RefusedItem("bad.png", "truncated"), RefusedItem("worse.png", "no such class")


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path)


def test_what_was_refused_is_read_back_with_its_reason(at):
    note_refusals(at, REF, [BAD, WORSE])
    assert refusals_of(at, REF) == Refusals(2, (BAD, WORSE))


def test_nothing_refused_is_something_known(at):
    assert refusals_of(at, REF) is None
    note_refusals(at, REF, [])
    assert refusals_of(at, REF) == Refusals(0, ())


def test_the_last_registration_of_the_same_content_counts(at):
    note_refusals(at, REF, [BAD])
    note_refusals(at, REF, [WORSE])
    assert refusals_of(at, REF) == Refusals(1, (WORSE,))


def test_more_than_a_page_of_names_is_counted_in_full(at):
    many = [RefusedItem(f"{n}.png", "empty") for n in range(MOST_NAMED + 5)]
    note_refusals(at, REF, many)
    found = refusals_of(at, REF)
    assert found == Refusals(MOST_NAMED + 5, tuple(many[:MOST_NAMED]))
    note_refusals(at, LATER, [BAD], parent=REF)
    again = refusals_of(at, LATER)
    assert again is not None
    assert (again.count, again.items[0], len(again.items)) == (MOST_NAMED + 6, BAD, MOST_NAMED)


def test_what_a_parent_refused_counts_until_it_is_taken_or_refused_again(at):
    note_refusals(at, REF, [BAD, WORSE])
    note_refusals(at, LATER, [], parent=REF)
    assert refusals_of(at, LATER) == Refusals(2, (BAD, WORSE))
    note_refusals(at, LATER, [], parent=REF, taken={"bad.png"})
    assert refusals_of(at, LATER) == Refusals(1, (WORSE,))
    again = RefusedItem("bad.png", "still truncated")
    note_refusals(at, LATER, [again], parent=REF)
    assert refusals_of(at, LATER) == Refusals(2, (again, WORSE))


def test_a_name_that_is_no_text_survives(at):
    half = RefusedItem("\udcff\n\x00.png", "no\u202eisrev")
    note_refusals(at, REF, [half])
    assert refusals_of(at, REF) == Refusals(1, (half,))
