import json

import numpy as np
import pytest

from models.errors import IntegrityError
from storage.labels.diff.cells import Change
from storage.labels.diff.compare import COUNTED, diff
from storage.labels.diff.settings import DiffSettings
from storage.labels.store import open_version
from storage.layout import Kind, Ref

MOVED = ([62, 34, 82, 54], [8, 38, 28, 56])
"""As `Versions.found`, the first cell moved by 2 and 4 working pixels."""


@pytest.fixture
def chain(versions):
    """Return version 0, a round that found two cells, one in which one moved, one that lost it."""
    refs = [versions.ingest()]
    for number, found in enumerate([versions.found, MOVED, MOVED[1:]], start=1):
        refs.append(versions.round(refs[-1], number, found=found))
    return refs


def counted(found):
    return {name: n for name, n in found.counts.items() if n}


def test_a_version_does_not_differ_from_itself(workspace, chain):
    found = diff(workspace, chain[1], chain[1])

    n = {"before": 5, "after": 5, "same": 5, "unchanged": 5, "same_by_id": 5}
    assert counted(found) == n
    assert len(found.changes) == 0
    assert found.by_region == {}
    assert found.pixels.n_decoded == found.pixels.changed_px == 0
    assert found.pixels.equal_px == 3 * 60 * 90
    assert found.protected.equal


def test_what_a_round_found_is_added(workspace, versions, chain):
    found = diff(workspace, chain[0], chain[1])

    assert counted(found) == {
        "before": 3, "after": 5, "same": 3, "unchanged": 3, "added": 2, "same_by_id": 3,
    }  # fmt: skip
    assert found.by_region[versions.first]["added"] == 2
    assert [found.regions[number] for number in found.changes.regions] == [versions.first] * 2
    assert found.changes.after_ids.tolist() == [3, 4]
    assert found.relation.kind == "descendant"


def test_seen_from_the_other_side_what_was_added_is_removed(workspace, chain):
    forth, back = diff(workspace, chain[0], chain[2]), diff(workspace, chain[2], chain[0])

    assert back.counts["removed"] == forth.counts["added"] == 2
    assert np.array_equal(back.pixels.matrix, forth.pixels.matrix.T)
    assert back.relation.kind == "ancestor"


def test_a_cell_that_moved_is_found_across_versions_with_its_way(workspace, chain):
    found = diff(workspace, chain[1], chain[2])

    moved = found.changes.take(found.changes.of(Change.MOVED))
    assert moved.before_ids.tolist() == moved.after_ids.tolist()
    # Two and four working pixels at two level-0 pixels each.
    assert moved.shifts.tolist() == pytest.approx([80**0.5])
    assert found.to_json()["moved_by_px"]["largest"] == pytest.approx(80**0.5)


def test_a_split_is_a_merge_seen_from_the_other_side(workspace, versions, chain):
    whole = versions.round(chain[0], 1, found=[[56, 20, 86, 56]], chain="run-1")
    parts = versions.round(whole, 2, found=[[56, 20, 86, 44], [56, 46, 86, 56]], chain="run-1")
    forth, back = diff(workspace, whole, parts), diff(workspace, parts, whole)

    assert [forth.counts[name] for name in ("split", "split_off", "added")] == [1, 1, 0]
    assert [back.counts[name] for name in ("merged", "merged_away", "removed")] == [1, 1, 0]


def test_pixels_are_counted_as_the_masks_have_them(workspace, versions, chain):
    found = diff(workspace, chain[1], chain[3])

    before, after = (
        np.asarray(open_version(workspace, ref).classes(versions.first)[:])
        for ref in (chain[1], chain[3])
    )
    values = [0, 1, 2, 255]
    expected = [[int(((before == a) & (after == b)).sum()) for b in values] for a in values]
    assert found.pixels.matrix.tolist() == expected
    assert (found.pixels.n_equal, found.pixels.n_decoded) == (2, 1)


def test_two_chains_are_compared_by_ids_they_share_and_by_place(workspace, versions, chain):
    other = versions.round(chain[0], 1, found=[MOVED[0], [60, 2, 84, 22]], chain="run-1")
    found = diff(workspace, chain[1], other)

    assert found.relation.kind == "cousin"
    assert found.relation.common == chain[0].digest
    assert (found.counts["same_by_id"], found.counts["same_by_place"]) == (3, 1)
    assert (found.counts["added"], found.counts["removed"], found.counts["moved"]) == (1, 1, 1)


def test_versions_without_a_common_ancestor_are_compared_by_annotation(workspace, versions, chain):
    other = versions.ingest(chain="other", regions="another")
    found = diff(workspace, chain[1], other)

    assert found.relation.kind == "unrelated"
    assert (found.counts["same_by_annotation"], found.counts["removed"]) == (2, 2)
    # Regions of equal content are the same, whoever wrote them.
    assert found.counts["same_by_id"] == 1
    assert found.protected.equal


def test_regions_of_one_side_only_are_all_new_or_gone(workspace, versions, chain):
    with versions.draft(chain[1]) as draft:
        for region_id in versions.drawn:
            draft.keep(region_id)
        placement, classes, cells, records, next_id = versions.drawn_labels("empty")
        draft.put("extra", placement, classes, cells, records, next_id)
        more = draft.commit()
    found = diff(workspace, chain[1], more)
    assert (found.only_before, found.only_after) == ((), ("extra",))
    with versions.draft(chain[0]) as draft:
        draft.keep(versions.first)
        draft.keep("slide.a@0,512")
        less = draft.commit()
    assert diff(workspace, chain[0], less).only_before == ("empty",)
    assert counted(diff(workspace, chain[0], less)).get("removed") is None


def test_regions_that_lie_elsewhere_are_compared_by_their_cells_only(workspace, versions, chain):
    placement, classes, cells, records, next_id = versions.drawn_labels(versions.first)
    with versions.draft(None, 0, "other", "ingest") as draft:
        draft.put(versions.first, placement, classes[:50], cells[:50], records, next_id)
        other = draft.commit()
    found = diff(workspace, chain[0], other)

    assert found.elsewhere == (versions.first,)
    assert found.counts["same_by_annotation"] == 2
    assert found.pixels.n_decoded == 0


def test_the_settings_say_what_counts(workspace, chain):
    patient = diff(workspace, chain[1], chain[2], DiffSettings(moved_px=9, resized=9, rescored=9))

    assert patient.counts["unchanged"] == 5


def test_a_diff_is_json_in_the_agreed_words(workspace, chain):
    answer = json.loads(json.dumps(diff(workspace, chain[0], chain[3]).to_json()))

    assert list(answer["cells"]) == list(COUNTED)
    assert answer["before"]["digest"] == chain[0].digest
    assert answer["relation"] == {
        "kind": "descendant", "common": chain[0].digest, "versions_apart": 3,
    }  # fmt: skip
    assert answer["pixels"]["classes"] == ["background", "edge", "inner", "ignore"]
    assert answer["protected"] == {"before": 3, "after": 3, "equal": True, "changes": []}
    assert answer["moved_by_px"] == {"median": None, "p95": None, "largest": None}


def test_progress_is_told_by_region(workspace, chain):
    heard = []
    diff(workspace, chain[0], chain[1], progress=lambda done, total: heard.append((done, total)))

    assert heard == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_version_that_is_not_there_is_an_error(workspace, chain):
    with pytest.raises(IntegrityError):
        diff(workspace, chain[0], Ref(Kind.LABELS, "0" * 32))
