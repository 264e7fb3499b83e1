import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.annotations import CellRecords, Polygons
from models.geometry.rings import ring_area
from storage.labels.diff.cells import Change, compare_cells, everything, ring_areas
from storage.labels.diff.pairs import How, Kinship
from storage.labels.diff.settings import DiffSettings
from storage.labels.lineage import Descent

DEFAULT = DiffSettings()
STRANGERS = Kinship(0, None)
SIDE = 100
"""Cells of different squares never meet."""


def kin(*pairs, first_foreign=1000):
    older, younger = np.array(pairs, np.uint32).reshape(-1, 2).T
    return Kinship(first_foreign, Descent(older, younger))


def square(place, size=20, dx=0.0, dy=0.0):
    x, y = SIDE * place + dx, dy
    return [x, y, x + size, y + size]


def compared(before, after, known=None, downsample=1.0):
    return compare_cells(before, after, known or kin(), downsample, DEFAULT)


def told(found):
    """Return the changes as (before, after, kinds, how)."""
    columns = zip(
        found.changes.before_ids.tolist(), found.changes.after_ids.tolist(),
        found.changes.kinds.tolist(), found.changes.hows.tolist(), strict=True,
    )  # fmt: skip
    return [(a, b, Change(kinds), How(how)) for a, b, kinds, how in columns]


def test_equal_cells_are_unchanged(table):
    cells = table({1: square(0), 2: square(1)}, human=[1])
    found = compared(cells, cells)

    assert told(found) == []
    kept = {name: n for name, n in found.counts.items() if n}
    assert kept == {"before": 2, "after": 2, "same": 2, "unchanged": 2, "same_by_id": 2}


def test_a_moved_cell_says_by_how_much(table):
    found = compared(table({1: square(0)}), table({1: square(0, dx=3, dy=4)}))

    assert told(found) == [(1, 1, Change.MOVED, How.ID)]
    assert found.changes.shifts.tolist() == [5]
    assert (found.counts["moved"], found.counts["unchanged"]) == (1, 0)


@pytest.mark.parametrize(("downsample", "moved"), [(1.0, 1), (3.0, 0)])
def test_what_counts_as_moved_is_measured_in_working_pixels(table, downsample, moved):
    found = compared(table({1: square(0)}), table({1: square(0, dx=2)}), downsample=downsample)

    assert found.counts["moved"] == moved


def test_a_cell_that_grew_is_resized(table):
    found = compared(table({1: square(0)}), table({1: square(0, size=22, dx=-1, dy=-1)}))

    assert told(found) == [(1, 1, Change.RESIZED, How.ID)]
    assert found.changes.growths.tolist() == pytest.approx([0.21])


def test_the_size_of_an_outlined_cell_is_that_of_its_outline(table):
    ring = [[0, 0], [20, 0], [20, 20], [0, 20]]
    half = [[0, 0], [20, 0], [20, 20]]
    box = {1: square(0)}
    found = compared(table(box, rings={1: ring}), table(box, rings={1: half}))

    assert told(found) == [(1, 1, Change.RESIZED, How.ID)]
    assert found.changes.growths.tolist() == [-0.5]


def test_a_rescored_cell_is_told_with_both_scores(table):
    box = {1: square(0)}
    found = compared(table(box, {1: 0.5}), table(box, {1: 0.9}))

    assert told(found) == [(1, 1, Change.RESCORED, How.ID)]
    assert (found.changes.before_scores[0], found.changes.after_scores[0]) == (0.5, 0.9)


def test_added_and_removed_cells_have_one_side_only(table):
    found = compared(table({1: square(0)}), table({7: square(1)}, {7: 0.8}))

    assert told(found) == [(1, 0, Change.REMOVED, How.NOT), (0, 7, Change.ADDED, How.NOT)]
    assert np.isnan(found.changes.after_boxes[0]).all()
    assert np.isnan(found.changes.shifts).all()
    assert found.changes.after_scores[1] == 0.8
    assert (found.counts["added"], found.counts["removed"], found.counts["same"]) == (1, 1, 0)


def test_a_cell_that_drifted_apart_from_itself_keeps_its_id_and_is_told(table):
    found = compared(table({1: square(0)}), table({1: square(0, dx=60)}))

    assert told(found) == [(1, 1, Change.MOVED | Change.DRIFTED, How.ID)]
    assert found.counts["drifted"] == 1


def test_the_parts_of_a_split_name_the_whole(table):
    before = table({1: [0, 0, 40, 20]})
    after = table({1: [0, 0, 25, 20], 5: [27, 0, 40, 20]})
    found = compared(before, after, kin((1, 1), (1, 5)))

    kinds = Change.SPLIT | Change.MOVED | Change.RESIZED
    assert told(found) == [(1, 1, kinds, How.ID), (1, 5, Change.SPLIT, How.NOT)]
    assert [found.counts[name] for name in ("split", "split_off", "added", "same")] == [1, 1, 0, 1]


def test_a_cell_that_merged_names_the_one_it_went_into(table):
    before = table({1: [0, 0, 25, 20], 2: [27, 0, 40, 20]})
    after = table({1: [0, 0, 40, 20]})
    found = compared(before, after, kin((1, 1), (2, 1)))

    kinds = Change.MERGED | Change.MOVED | Change.RESIZED
    assert told(found) == [(1, 1, kinds, How.ID), (2, 1, Change.MERGED, How.NOT)]
    names = ("merged", "merged_away", "removed", "same")
    assert [found.counts[name] for name in names] == [1, 1, 0, 1]


def test_a_cell_that_merged_is_not_told_to_live_on_at_a_place_nearby(table):
    before = table({1: [0, 0, 25, 20], 2: [27, 0, 40, 20]})
    after = table({1: [0, 0, 40, 20], 9: [27, 10, 40, 30]})
    found = compared(before, after, kin((1, 1), (2, 1)))

    assert (2, 1, Change.MERGED, How.NOT) in told(found)
    assert (0, 9, Change.ADDED, How.NOT) in told(found)


@pytest.mark.parametrize("closest", [1, 2])
def test_a_part_of_two_cells_names_the_one_it_overlaps_most(table, closest):
    wholes = {1: [0, 0, 40, 20], 2: [0, 10, 40, 30]}
    part = [10, 2, 20, 18] if closest == 1 else [10, 12, 20, 28]
    found = compared(table(wholes), table(wholes | {9: part}), kin((1, 1), (2, 2), (1, 9), (2, 9)))

    assert (closest, 9, Change.SPLIT, How.NOT) in told(found)


def test_a_cell_whose_id_ended_goes_on_in_what_grew_from_it(table):
    found = compared(table({1: square(0)}), table({9: square(0, size=12)}), kin((1, 9)))

    assert told(found) == [(1, 9, Change.MOVED | Change.RESIZED, How.DESCENT)]
    assert (found.counts["same_by_descent"], found.counts["split"]) == (1, 0)


def test_what_was_one_for_a_round_and_is_two_again_did_not_split(table):
    # 1 and 2 merged into 1, which then split into 1 and 3.
    before, after = table({1: square(0), 2: square(1)}), table({1: square(0), 3: square(1)})
    found = compared(before, after, kin((1, 1), (1, 3), (2, 1), (2, 3)))

    assert told(found) == []
    assert (found.counts["same_by_id"], found.counts["same_by_descent"]) == (1, 1)
    assert (found.counts["split"], found.counts["merged"]) == (0, 0)


def test_a_cell_that_was_lost_and_found_again_is_the_same_by_its_place(table):
    found = compared(table({1: square(0)}), table({9: square(0, dx=2)}))

    assert told(found) == [(1, 9, Change.MOVED, How.PLACE)]
    assert (found.counts["added"], found.counts["removed"]) == (0, 0)


def test_ids_of_other_chains_name_other_cells(table):
    before, after = table({1: square(0), 2: square(1)}), table({1: square(1), 2: square(2)})
    found = compared(before, after, STRANGERS)

    assert told(found) == [(1, 0, Change.REMOVED, How.NOT), (0, 2, Change.ADDED, How.NOT)]
    assert found.counts["same_by_place"] == 1


def test_ids_from_before_two_chains_parted_name_the_same_cell(table):
    # 1 is the common ancestor's; each chain found a cell 2 of its own.
    before, after = table({1: square(0), 2: square(1)}), table({1: square(3), 2: square(2)})
    found = compared(before, after, Kinship(2, None))

    assert found.counts["same_by_id"] == 1
    assert {pair[:2] for pair in told(found)} == {(1, 1), (2, 0), (0, 2)}


def test_a_persons_cells_are_the_same_by_their_annotation_in_unrelated_chains(table):
    before = table({1: square(0), 2: square(1)}, human=[1, 2])
    after = table({2: square(4), 8: square(1)}, human=[2])
    found = compared(before, after, STRANGERS)

    assert found.counts["same_by_annotation"] == 1
    assert (2, 2, Change.MOVED, How.ANNOTATION) in [
        (a, b, kinds & Change.MOVED, how) for a, b, kinds, how in told(found)
    ]
    assert found.changes.human.tolist().count(True) == 2


def test_a_persons_cell_neither_splits_nor_merges(table):
    before = table({1: [0, 0, 40, 20], 2: [2, 2, 8, 8]}, human=[1])
    after = table({1: [0, 0, 40, 20], 5: [27, 0, 40, 20]}, human=[1])
    found = compared(before, after, kin((1, 1), (1, 5), (2, 1)))

    assert (found.counts["split"], found.counts["merged"]) == (0, 0)
    assert (found.counts["added"], found.counts["removed"]) == (1, 1)


def test_the_closest_pair_is_served_first_and_each_cell_once(table):
    before = table({1: square(0), 2: square(0, dx=8)})
    after = table({1: square(0, dx=9), 2: square(0, dx=1)})
    found = compared(before, after, STRANGERS)

    assert {pair[:2] for pair in told(found)} == set()
    assert (found.counts["same_by_place"], found.counts["unchanged"]) == (2, 2)


def test_all_cells_of_a_region_that_only_one_version_has_are_added_or_removed(table):
    cells = table({1: square(0), 4: square(1)})
    added, removed = everything(cells, Change.ADDED), everything(cells, Change.REMOVED)

    assert told(added) == [(0, 1, Change.ADDED, How.NOT), (0, 4, Change.ADDED, How.NOT)]
    assert told(removed) == [(1, 0, Change.REMOVED, How.NOT), (4, 0, Change.REMOVED, How.NOT)]
    assert added.counts == {"after": 2, "added": 2}
    assert removed.counts == {"before": 2, "removed": 2}


def test_nothing_against_nothing_is_nothing():
    found = compared(CellRecords.none(), CellRecords.none())

    assert len(found.changes) == 0
    assert set(found.counts.values()) == {0}


EDITS = ("keep", "tremble", "move", "grow", "score", "remove", "split", "add")


@given(st.lists(st.sampled_from(EDITS), max_size=12), st.booleans())
@settings(deadline=None)
def test_every_edit_is_counted_once(table, edits, turned):
    before, after, pairs, scores = {}, {}, [], {}
    for place, edit in enumerate(edits):
        cell, new = place + 1, place + 101
        if edit != "add":
            before[cell] = square(place)
        if edit not in {"remove", "add", "split"}:
            dx = {"tremble": 0.5, "move": 5}.get(edit, 0)
            after[cell] = square(place, 24 if edit == "grow" else 20, dx, dx)
            pairs.append((cell, cell))
        if edit == "score":
            scores[cell] = 0.9
        if edit == "add":
            after[new] = square(place)
        if edit == "split":
            x, y, right, bottom = square(place)
            after[cell], after[new] = [x, y, x + 13, bottom], [x + 14, y, right, bottom]
            pairs += [(cell, cell), (cell, new)]
    n = {edit: edits.count(edit) for edit in EDITS}
    tables = [table(before), table(after, scores)]
    if turned:
        pairs = [pair[::-1] for pair in pairs]
        tables.reverse()
    counts = compared(tables[0], tables[1], kin(*pairs)).counts

    gone, come = ("added", "removed") if turned else ("removed", "added")
    assert (counts[gone], counts[come]) == (n["remove"], n["add"])
    assert counts["merged" if turned else "split"] == n["split"]
    assert counts["merged_away" if turned else "split_off"] == n["split"]
    assert counts["moved"] == n["move"] + n["grow"] + n["split"]
    assert counts["resized"] == n["grow"] + n["split"]
    assert counts["rescored"] == n["score"]
    assert counts["unchanged"] == n["keep"] + n["tremble"]
    assert counts["before"] == counts["same"] + counts["removed"] + counts["merged_away"]
    assert counts["after"] == counts["same"] + counts["added"] + counts["split_off"]


corner = st.integers(0, 30)
some_boxes = st.dictionaries(
    st.integers(1, 12),
    st.tuples(corner, corner, st.integers(1, 15), st.integers(1, 15)).map(
        lambda box: [box[0], box[1], box[0] + box[2], box[1] + box[3]]
    ),
    max_size=8,
)


@given(
    some_boxes, some_boxes,
    st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=12),
    st.integers(0, 13), st.sets(st.integers(1, 6)),
)  # fmt: skip
@settings(deadline=None)
def test_every_cell_of_both_sides_is_told_exactly_once(
    table, first, second, pairs, first_foreign, human
):
    before, after = table(first, human=human), table(second, human=human)
    found = compared(before, after, kin(*pairs, first_foreign=first_foreign))
    counts, changes = found.counts, found.changes

    assert counts["before"] == counts["same"] + counts["removed"] + counts["merged_away"]
    assert counts["after"] == counts["same"] + counts["added"] + counts["split_off"]
    same = changes.hows != How.NOT
    for ids, other, change in (
        (changes.before_ids, changes.after_ids, Change.REMOVED | Change.MERGED),
        (changes.after_ids, changes.before_ids, Change.ADDED | Change.SPLIT),
    ):
        own = ids[same | ((changes.kinds & change) > 0) & ~same]
        assert len(set(own.tolist())) == len(own)
        assert (other[same] > 0).all()


def test_the_areas_of_rings_are_those_of_each_alone():
    rings = [
        np.zeros((0, 2)),
        np.array([[1e6, 1e6], [1e6 + 3, 1e6], [1e6 + 3, 1e6 + 4]]),
        np.array([[5.0, 5]]),
        np.array([[0.0, 0], [0, 2], [2, 2], [2, 0]]),
        np.zeros((0, 2)),
    ]
    found = ring_areas(Polygons.of_rings(rings))

    expected = [ring_area(ring) if len(ring) else 0 for ring in rings]
    assert found.tolist() == pytest.approx(expected)
    assert ring_areas(Polygons.none(2)).tolist() == [0, 0]


def test_the_areas_of_thousands_of_rings_far_from_the_origin_are_exact():
    ring = np.array([[0.0, 0], [0, 0.5], [0.5, 0.5], [0.5, 0]]) + 2e5 / 3
    found = ring_areas(Polygons.of_rings([ring] * 3000))

    assert np.abs(found - 0.25).max() < 1e-8
