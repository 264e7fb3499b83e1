"""Taking back a round, a network or an origin, and what grew from it; never a person's cell."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.annotations import Origin
from models.errors import WrongUseError
from storage.collecting import collect
from storage.labels.log import ancestry
from storage.labels.revert import What, revert
from storage.labels.store import open_version
from storage.labels.tags import tag

LEFT, RIGHT, LOW = [60, 30, 80, 50], [62, 5, 84, 25], [8, 38, 28, 56]


def found_in(workspace, ref, versions):
    """Return round by id of the cells that nobody drew, in the first region."""
    records = open_version(workspace, ref).records(versions.first)
    mine = records.take(~records.is_human)
    return dict(zip(mine.cell_ids.tolist(), mine.rounds.tolist(), strict=True))


@pytest.fixture
def three(versions):
    """Return version 0 and three rounds: one finds a cell, each later one another."""
    zero = versions.ingest()
    one = versions.round(zero, 1, found=[LEFT])
    two = versions.round(one, 2, found=[LEFT, RIGHT])
    return zero, one, two, versions.round(two, 3, found=[LEFT, RIGHT, LOW])


def test_a_round_goes_and_what_others_brought_in_stays(workspace, versions, three):
    before = found_in(workspace, three[3], versions)
    assert sorted(before.values()) == [1, 2, 3]
    done = revert(workspace, three[3], What(round=2))
    after = found_in(workspace, done.ref, versions)
    assert after == {cell: number for cell, number in before.items() if number != 2}
    assert (done.n_removed, done.removed) == (1, {versions.first: 1})


def test_what_stays_keeps_its_pixels_and_its_record(workspace, versions, three):
    old = open_version(workspace, three[3])
    new = open_version(workspace, revert(workspace, three[3], What(round=2)).ref)
    gone = set(found_in(workspace, three[3], versions)) - set(
        found_in(workspace, new.info.ref, versions)
    )
    was, now = (np.asarray(one.cells(versions.first)[:]) for one in (old, new))
    assert np.array_equal(now, np.where(np.isin(was, list(gone)), 0, was))
    kept = old.records(versions.first)
    kept = kept.take(~np.isin(kept.cell_ids, list(gone)))
    assert np.array_equal(kept.boxes, new.records(versions.first).boxes)
    assert new.info.human_digest == old.info.human_digest
    assert new.next_cell_id(versions.first) == old.next_cell_id(versions.first)


def test_a_cell_that_grew_from_what_goes_goes_too(workspace, versions):
    wide = [56, 26, 84, 54]  # another cell by the rule of identity, grown from the small one
    zero = versions.ingest()
    one = versions.round(zero, 1, found=[[64, 34, 76, 46]])
    two = versions.round(one, 2, found=[wide])
    records = open_version(workspace, two).records(versions.first)
    assert records.parents.lengths()[~records.is_human].tolist() == [1]
    assert found_in(workspace, revert(workspace, two, What(round=1)).ref, versions) == {}


def test_a_network_goes_by_the_first_digits_of_its_checkpoint(workspace, versions, three):
    done = revert(workspace, three[3], What(checkpoint="checkpoint-3"))
    assert sorted(found_in(workspace, done.ref, versions).values()) == [1, 2]


def test_an_origin_goes_as_a_whole(workspace, versions, three):
    done = revert(workspace, three[3], What(origin=Origin.PSEUDO))
    assert found_in(workspace, done.ref, versions) == {}
    human = open_version(workspace, three[0]).info.human_count
    assert open_version(workspace, done.ref).info.human_count == human


def test_nothing_to_take_back_makes_no_version(workspace, three):
    done = revert(workspace, three[3], What(round=9))
    assert (done.ref, done.n_removed) == (three[3], 0)


def test_the_same_revert_twice_is_one_version(workspace, three):
    assert revert(workspace, three[3], What(round=2)).ref == revert(
        workspace, three[3], What(round=2)
    ).ref  # fmt: skip


def test_rounds_can_go_on_from_what_a_revert_left(workspace, versions, three):
    left = revert(workspace, three[3], What(round=2)).ref
    following = versions.round(left, 4, found=[LEFT, RIGHT])
    numbers = found_in(workspace, following, versions)
    # The cell that was taken back is found again, under a new id and by the new round.
    assert sorted(numbers.values()) == [1, 4]
    assert not set(numbers) & {
        cell for cell, number in found_in(workspace, three[3], versions).items() if number == 2
    }


def test_cleaning_keeps_all_that_a_tagged_revert_grew_from_though_no_run_made_it(workspace, three):
    left = revert(workspace, three[3], What(round=2)).ref
    tag(workspace, "gold", left)
    assert collect(workspace, keep_runs=0).leftovers == ()
    assert [info.ref for info in ancestry(workspace, left)] == [left, *reversed(three)]


@pytest.mark.parametrize("what", [{}, {"origin": Origin.HUMAN}])
def test_everything_or_a_persons_cells_cannot_be_taken_back(what):
    with pytest.raises(WrongUseError):
        What(**what)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(st.sampled_from([LEFT, RIGHT, LOW]), max_size=3), max_size=4), st.data())
def test_no_cell_of_a_reverted_round_and_every_cell_of_a_person_is_left(
    workspace, versions, rounds, data
):
    ref = versions.ingest()
    for number, found in enumerate(rounds, 1):
        ref = versions.round(ref, number, found=found)
    round_number = data.draw(st.integers(1, max(1, len(rounds))))
    left = open_version(workspace, revert(workspace, ref, What(round=round_number)).ref)
    assert round_number not in found_in(workspace, left.info.ref, versions).values()
    assert left.info.human_digest == open_version(workspace, ref).info.human_digest
