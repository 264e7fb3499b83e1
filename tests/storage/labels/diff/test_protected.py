from dataclasses import replace

import numpy as np
import pytest

from models.errors import IntegrityError
from storage.labels.diff.protected import compare_protected
from storage.labels.store import open_version

FIRST = "slide.a@0,0"


@pytest.fixture
def imported(workspace, versions):
    """Return version 0 and a version in which a person dropped, moved and added a cell."""
    first = versions.ingest()
    placement, classes, cells, records, next_id = versions.drawn_labels(versions.first)
    classes, cells = classes.copy(), cells.copy()
    for array in (classes, cells):
        array[cells == 1] = 0
    classes[50:55, 60:70] = 2
    cells[50:55, 60:70] = 3
    boxes = records.boxes.copy()
    boxes[1] += 1
    ids = np.array([2, 3], np.uint32)
    changed = replace(records, boxes=boxes).take(np.array([1, 0]))
    names = np.array([changed.annotation_ids[0], "new"])
    changed = replace(changed, cell_ids=ids, annotation_ids=names)
    with versions.draft(first, stage="import") as draft:
        draft.put(versions.first, placement, classes, cells, changed, next_id + 1)
        draft.keep("slide.a@0,512")
        second = draft.commit()
    return open_version(workspace, first), open_version(workspace, second)


def test_a_round_leaves_the_persons_cells_equal(workspace, versions):
    first = versions.ingest()
    versions_ = (open_version(workspace, ref) for ref in (first, versions.round(first)))
    found = compare_protected(*versions_)

    assert (found.n_before, found.n_after, found.equal) == (3, 3, True)


def test_what_a_person_changed_is_listed_by_annotation(imported):
    found = compare_protected(*imported)

    told = {one.annotation: (one.what, one.before_id, one.after_id) for one in found.changes}
    assert told == {
        f"{FIRST}#0": ("lost", 1, None),
        f"{FIRST}#1": ("moved", 2, 2),
        "new": ("added", None, 3),
    }
    assert {one.region for one in found.changes} == {FIRST}
    assert not found.equal
    assert found.to_json()["changes"][0]["what"] == "added"


def test_the_same_seen_from_the_other_side(imported):
    before, after = imported
    told = {one.annotation: one.what for one in compare_protected(after, before).changes}

    assert told == {"new": "lost", f"{FIRST}#0": "added", f"{FIRST}#1": "moved"}


def test_another_cell_id_for_the_same_annotation_is_told(workspace, versions):
    placement, classes, cells, records, _ = versions.drawn_labels("slide.a@0,512")
    renamed = replace(records, cell_ids=np.array([7], np.uint32))
    with versions.draft(None, 0, "other", "ingest") as draft:
        draft.put("slide.a@0,512", placement, classes, cells * 7, renamed, 8)
        other = open_version(workspace, draft.commit())
    found = compare_protected(open_version(workspace, versions.ingest()), other)

    told = {one.annotation: (one.what, one.before_id, one.after_id) for one in found.changes}
    assert told["slide.a@0,512#0"] == ("named by another cell id", 1, 7)
    assert [what for what, *_ in told.values()].count("lost") == 2


def test_tables_are_not_read_where_the_digests_are_equal(workspace, versions):
    first = versions.ingest()
    second = open_version(workspace, versions.round(first))
    unreadable = replace(second, hashes={})

    with pytest.raises(IntegrityError):
        unreadable.records(versions.first)
    assert compare_protected(open_version(workspace, first), unreadable).equal
