from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.annotations import CellRecords, Polygons, Ragged
from models.geometry.tiles import Placement
from storage.labels.lineage import descent, relate
from storage.labels.store import LabelDraft, open_version
from storage.layout import Workspace

PLACE, REGION = Placement(0, 0, 1.0), "r"


class Line:
    """Versions of one region, whose cells are told by their parents only."""

    def __init__(self, at):
        self.at = at

    def records(self, parents):
        ids = np.array(sorted(parents), np.uint32)
        n = len(ids)
        text, whole = np.zeros(n, "<U1"), np.zeros(n, np.int32)
        return CellRecords(
            ids, np.tile([0.0, 0, 1, 1], (n, 1)), Polygons.none(n), np.zeros(n),
            np.full(n, 2, np.uint8), text, whole, text, text, whole,
            Ragged.of([np.array(parents[int(i)], np.uint32) for i in ids], ids[:0]),
        )  # fmt: skip

    def add(self, parents, parent=None, chain="c", region=REGION, keep=()):
        """Commit a version whose cells grew from those of the parent version as told."""
        next_id = open_version(self.at, parent).next_cell_id(region) if parent else 1
        next_id = max([next_id, *(cell + 1 for cell in parents)])
        cells = np.zeros((1, 40), np.uint32)
        cells[0, : len(parents)] = sorted(parents)
        classes = np.where(cells > 0, 2, 0).astype(np.uint8)
        with LabelDraft(
            self.at, parent=parent, chain=chain, round=0, stage="self", parameters={}
        ) as draft:
            for one in keep:
                draft.keep(one)
            draft.put(region, PLACE, classes, cells, self.records(parents), next_id)
            return draft.commit()

    def keep(self, parent, regions=(REGION,), **parameters):
        with LabelDraft(
            self.at, parent=parent, chain="c", round=0, stage="self", parameters=parameters
        ) as draft:
            for one in regions:
                draft.keep(one)
            return draft.commit()

    def pairs(self, first, last, region=REGION):
        one, other = (open_version(self.at, ref) for ref in (first, last))
        found = descent(relate(self.at, one, other).line, region)
        return set(zip(found.older.tolist(), found.younger.tolist(), strict=True))


@pytest.fixture
def line(workspace):
    return Line(workspace)


def test_versions_know_what_they_are_to_each_other(line):
    first = line.add({1: []})
    one = line.add({1: [1]}, first)
    two = line.add({1: [1], 2: []}, one)
    other = line.add({1: [1], 2: [1]}, one, chain="d")
    stranger = line.add({1: []}, chain="e")

    def kind(before, after):
        found = relate(line.at, *(open_version(line.at, ref) for ref in (before, after)))
        return found.kind, found.common, found.to_json()["versions_apart"]

    assert kind(first, first) == ("same", first.digest, 0)
    assert kind(first, two) == ("descendant", first.digest, 2)
    assert kind(two, first) == ("ancestor", first.digest, 2)
    assert kind(two, other) == ("cousin", one.digest, None)
    assert kind(two, stranger) == ("unrelated", None, None)


def test_a_missing_ancestor_ends_what_is_known(line):
    first = line.add({1: []})
    one = line.add({1: [1]}, first)
    two, three = line.add({1: [1]}, one), line.add({1: [1], 2: []}, one)
    line.at.path(first).rename(line.at.root / "gone")

    found = relate(line.at, open_version(line.at, two), open_version(line.at, three))
    assert (found.kind, found.common) == ("cousin", one.digest)


def test_a_cell_descends_from_what_its_parents_descended_from(line):
    first = line.add({1: [], 2: [], 3: []})
    one = line.add({1: [1, 2], 4: [3]}, first)
    two = line.add({5: [1, 4], 6: []}, one)

    assert line.pairs(first, one) == {(1, 1), (2, 1), (3, 4)}
    assert line.pairs(first, two) == {(1, 5), (2, 5), (3, 5)}


def test_an_id_that_stays_is_its_own_descendant_whatever_was_recorded(line):
    first = line.add({1: [], 2: []})
    last = line.add({1: [], 2: [1]}, first)

    assert line.pairs(first, last) == {(1, 1), (2, 2), (1, 2)}


def test_a_region_that_was_kept_stands_still(line):
    first = line.add({1: [], 2: []})
    merged = line.add({3: [1, 2]}, first)
    kept = line.keep(merged)
    last = line.add({3: [3], 4: []}, kept)

    # 3 still names 1 and 2 in the version that kept it, which never had those.
    assert line.pairs(merged, kept) == {(3, 3)}
    assert line.pairs(first, last) == {(1, 3), (2, 3)}


def test_a_split_does_not_happen_again_in_a_version_that_kept_it(line):
    split = line.add({1: [1], 2: [1]}, line.add({1: []}))

    assert line.pairs(split, line.keep(split)) == {(1, 1), (2, 2)}


def test_a_region_that_was_left_out_ends_all_lines(line):
    first = line.add({1: []})
    left = line.add({1: [1]}, first)
    gone = line.keep(left, regions=())

    assert line.pairs(first, left) == {(1, 1)}
    assert line.pairs(first, gone) == set()


def composed(steps):
    """Return the pairs of first and last, composed one cell at a time."""
    pairs = {(cell, cell) for cell in steps[0]}
    for before, after in pairwise(steps):
        below = {
            cell: {*parents, *([cell] if cell in before else [])} for cell, parents in after.items()
        }
        pairs = {(old, cell) for old, mid in pairs for cell in below if mid in below[cell]}
    return pairs


@st.composite
def histories(draw):
    """Return for each of several versions its cells with their parents; no id is used again."""
    steps: list[dict[int, list[int]]] = []
    next_id = 1
    for number in range(draw(st.integers(2, 4))):
        before = sorted(steps[-1]) if steps else []
        stay = draw(st.sets(st.sampled_from(before))) if before else set()
        new = range(next_id, next_id + draw(st.integers(0, 3)))
        next_id = new.stop
        parents = st.sets(st.sampled_from(before)).map(sorted) if before else st.just([])
        steps.append({cell: draw(parents) if number else [] for cell in [*stay, *new]})
    return steps


@given(histories())
@settings(max_examples=25, deadline=None)
def test_descent_over_many_versions_is_composed_of_single_steps(folder_of, steps):
    line = Line(Workspace(folder_of()))
    refs = [line.add(steps[0])]
    for step in steps[1:]:
        refs.append(line.add(step, refs[-1]))

    assert line.pairs(refs[0], refs[-1]) == composed(steps)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    return lambda: tmp_path_factory.mktemp("line")
