"""The chain of a cell, version by version, back to who drew it or what found it."""

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import NotFoundError
from models.merging.settings import MergeSettings
from storage.artefacts import canonical_json
from storage.checkpoints import save_card
from storage.labels.blame import blame
from storage.labels.lineage import descent, relate
from storage.labels.log import ancestry
from storage.labels.revert import What, revert
from storage.labels.store import open_version
from storage.layout import Kind, Ref, Workspace
from storage.ledger import Ledger, RunStage, StageRecord

HERE, BESIDE, FAR = [60, 30, 80, 50], [62, 5, 84, 25], [8, 38, 28, 56]
WHOLE, LEFT, RIGHT = [54, 30, 88, 50], [54, 30, 76, 50], [77, 32, 88, 48]


def story(found):
    """Return for each version, youngest first, what happened to each cell of the chain."""
    return [{one.cell: one.how for one in step.cells} for step in found.steps]


def found_ids(workspace, ref, versions):
    records = open_version(workspace, ref).records(versions.first)
    return sorted(records.cell_ids[~records.is_human].tolist())


def test_a_cell_that_a_person_drew_leads_to_the_annotation(workspace, versions):
    last = versions.round(versions.round(versions.ingest(), 1), 2)
    found = blame(workspace, last, versions.first, 2)

    (one,) = found.beginnings
    assert story(found) == [{2: "kept"}, {2: "kept"}, {2: "drawn"}]
    assert (one.is_human, one.cell.annotation_id) == (True, f"{versions.first}#1")
    assert (one.cell.score, one.cell.votes, one.cell.checkpoint) == (None, 0, "")


def test_a_found_cell_leads_to_network_threshold_score_and_votes(workspace, versions):
    network = save_card(workspace, {"model": "tiny"})
    shutil.copytree(workspace.path(network), workspace.path(Ref(Kind.CHECKPOINT, network.digest)))
    how = {"checkpoint": network.digest, "merging": MergeSettings(threshold=0.6).model_dump()}
    one = versions.round(versions.ingest(), 1, found=[HERE], **how)
    (cell,) = found_ids(workspace, one, versions)
    two = versions.round(one, 2, found=[HERE, FAR])
    found = blame(workspace, two, versions.first, cell)

    (began,) = found.beginnings
    assert story(found) == [{cell: "kept"}, {cell: "found"}]
    assert (began.version, began.network, began.threshold) == (one.digest, "tiny", 0.6)
    assert (began.cell.round, began.cell.stage, began.cell.votes) == (1, "self", 1)
    assert began.cell.checkpoint == "checkpoint-1"
    records = open_version(workspace, one).records(versions.first)
    assert [began.cell.score] == records.scores[records.cell_ids == cell].tolist()
    assert began.to_json()["by"] == "network"


def test_the_parts_of_a_split_name_each_other_and_where_they_came_from(workspace, versions):
    one = versions.round(versions.ingest(), 1, found=[WHOLE])
    two = versions.round(one, 2, found=[LEFT, RIGHT])
    (whole,) = found_ids(workspace, one, versions)
    parts = found_ids(workspace, two, versions)

    for part in parts:
        found = blame(workspace, two, versions.first, part)
        first = found.steps[0].cells[0]
        assert story(found) == [{part: "split"}, {whole: "found"}]
        assert (first.parents, set(first.siblings)) == ((whole,), set(parts) - {part})
    assert len(parts) == 2


def test_a_merged_cell_has_as_many_beginnings_as_it_had_parts(workspace, versions):
    one = versions.round(versions.ingest(), 1, found=[LEFT])
    two = versions.round(one, 2, found=[LEFT, RIGHT])
    three = versions.round(two, 3, found=[WHOLE])
    (whole,) = found_ids(workspace, three, versions)
    found = blame(workspace, three, versions.first, whole)

    assert found.steps[0].cells[0].how == "merged"
    assert [one.cell.round for one in found.beginnings] == [2, 1]
    assert {one.cell for one in found.steps[1].cells} == set(found_ids(workspace, two, versions))


def test_a_cell_that_drifts_splits_and_merges_leads_back_through_every_round(workspace, versions):
    further = [[x0 + 4, y0, min(x1 + 4, 90), y1] for x0, y0, x1, y1 in (LEFT, RIGHT)]
    seen = [[WHOLE], [LEFT, RIGHT], further, [WHOLE], [[WHOLE[0] - 3, *WHOLE[1:]]]]
    ref, cells = versions.ingest(), []
    for number, found in enumerate(seen, 1):
        ref = versions.round(ref, number, found=found)
        cells.append(found_ids(workspace, ref, versions))
    (last,) = cells[-1]
    told = story(blame(workspace, ref, versions.first, last))

    assert [sorted(one) for one in told] == list(reversed(cells))
    assert [set(one.values()) for one in told] == [
        {"moved"}, {"merged"}, {"moved"}, {"split"}, {"found"},
    ]  # fmt: skip
    assert [len(one) for one in told] == [1, 1, 2, 2, 1]


def test_drift_is_told_for_each_round_in_level_0_pixels(workspace, versions):
    one = versions.round(versions.ingest(), 1, found=[HERE])
    two = versions.round(one, 2, found=[[64, 30, 84, 50]])
    (cell,) = found_ids(workspace, two, versions)
    moved = blame(workspace, two, versions.first, cell).steps[0].cells[0]

    assert (moved.how, moved.drift_px) == ("moved", 4 * versions.placement.downsample)


def test_a_region_that_was_kept_is_no_step_of_its_own(workspace, versions):
    one = versions.round(versions.ingest(), 1, found=[WHOLE])
    two = versions.round(one, 2, found=[LEFT, RIGHT])
    with versions.draft(two, 3) as draft:
        for region_id in versions.drawn:
            draft.keep(region_id)
        kept = draft.commit()
    (_, part) = found_ids(workspace, kept, versions)
    found = blame(workspace, kept, versions.first, part)

    assert [step.is_region_kept for step in found.steps] == [True, False, False]
    assert [cells[max(cells)] for cells in story(found)] == ["kept", "split", "found"]


def test_a_revert_is_a_step_in_which_the_cell_was_kept(workspace, versions):
    one = versions.round(versions.ingest(), 1, found=[HERE])
    two = versions.round(one, 2, found=[HERE, FAR])
    (cell,) = found_ids(workspace, one, versions)
    back = revert(workspace, two, What(round=2)).ref
    found = blame(workspace, back, versions.first, cell)

    assert [step.info.stage for step in found.steps] == ["revert", "self", "self"]
    assert [list(cells.values()) for cells in story(found)] == [["kept"], ["kept"], ["found"]]


def test_a_deleted_ancestor_is_named_and_what_is_left_is_told(workspace, versions):
    first = versions.ingest()
    last = versions.round(first, 1, found=[HERE])
    two = versions.round(last, 2, found=[HERE])
    workspace.path(last).rename(workspace.root / "gone")
    found = blame(workspace, two, versions.first, found_ids(workspace, two, versions)[0])

    assert found.gone == last.digest
    assert len(found.steps) == 1


def test_a_chain_that_ends_before_the_deleted_ancestor_lacks_nothing(workspace, versions):
    first = versions.ingest()
    one = versions.round(first, 1, found=[HERE])
    two = versions.round(one, 2, found=[HERE, FAR])
    (old, new) = found_ids(workspace, two, versions)
    workspace.path(first).rename(workspace.root / "gone")

    assert blame(workspace, two, versions.first, new).gone is None
    assert blame(workspace, two, versions.first, old).gone == first.digest


def test_a_found_cell_that_a_person_redrew_was_corrected_and_leads_back_further(workspace, row):
    first = row({1: (5, [])})
    last = row({1: (7, [1])}, first, human=[1], stage="import")
    found = blame(workspace, last, "r", 1)

    assert story(found) == [{1: "corrected"}, {1: "found"}]
    assert (found.steps[0].cells[0].annotation_id, found.beginnings[0].is_human) == ("drawn", False)
    kept = row({1: (7, [1])}, last, human=[1])
    assert story(blame(workspace, kept, "r", 1))[0] == {1: "kept"}


def test_a_cell_that_kept_its_id_is_a_sibling_though_it_names_no_parent(workspace, row):
    first = row({1: (5, [])})
    last = row({1: (5, []), 2: (9, [1])}, first)

    for cell, other in ((1, 2), (2, 1)):
        (one,) = blame(workspace, last, "r", cell).steps[0].cells
        assert (one.how, one.parents, one.siblings) == ("split", (1,), (other,))


def test_a_cell_under_a_new_id_was_renamed(workspace, row):
    last = row({2: (6, [1])}, row({1: (5, [])}))
    found = blame(workspace, last, "r", 2)

    assert story(found) == [{2: "renamed"}, {1: "found"}]
    assert found.steps[0].cells[0].drift_px is None


def test_the_configurations_that_asked_for_a_version_are_named(workspace, versions):
    one = versions.round(versions.ingest(), 1)
    ledger = Ledger(workspace)
    for run in ("run-a", "run-b"):
        ledger.start_run(run, "n", {}, 1.0)
        ledger.note_stage(run, RunStage("relabel", "completed", "key", ""))
    ledger.start_run("other", "n", {}, 2.0)
    ledger.record(StageRecord("key", "relabel", "relabel", one, 1.0, 1.0), {})
    found = blame(workspace, one, versions.first, 1)

    assert [sorted(step.configs) for step in found.steps] == [["run-a", "run-b"], []]


@pytest.mark.parametrize("cell", [0, -1, 99, 2**40])
def test_a_cell_that_is_not_there_is_an_error_that_says_what_to_do(workspace, versions, cell):
    with pytest.raises(NotFoundError, match=r"has no cell .*--at x,y"):
        blame(workspace, versions.ingest(), versions.first, cell)


def test_a_region_that_is_not_there_is_an_error(workspace, versions):
    with pytest.raises(NotFoundError, match="no region nowhere"):
        blame(workspace, versions.ingest(), "nowhere", 1)


CORNERS = st.tuples(st.sampled_from(range(0, 70, 7)), st.sampled_from(range(0, 40, 8)))
BOXES = st.tuples(CORNERS, st.sampled_from([14, 20, 34])).map(
    lambda one: [one[0][0], one[0][1], one[0][0] + one[1], one[0][1] + 18]
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(BOXES, max_size=3), min_size=1, max_size=4))
def test_a_chain_holds_in_each_version_exactly_what_the_cell_descends_from(
    tmp_path_factory, versions, rounds
):
    at = Workspace(tmp_path_factory.mktemp("chain"))
    mine = type(versions)(at)
    ref = mine.ingest()
    for number, found in enumerate(rounds, 1):
        ref = mine.round(ref, number, found=np.array(found).reshape(-1, 4))
    last = open_version(at, ref)
    for cell in last.records(mine.first).cell_ids.tolist():
        found = blame(at, ref, mine.first, cell)
        _agrees_with_descent(at, mine.first, found)
        assert canonical_json(found.to_json())


def _agrees_with_descent(at, region, found):
    """Compare with `descent`, which goes through whole tables, and with the oldest records."""
    steps = {step.info.digest: step for step in found.steps}
    last = open_version(at, found.steps[0].info.ref)
    for info in ancestry(at, last.info.ref):
        line = relate(at, open_version(at, info.ref), last).line
        pairs = descent(line, region)
        behind = set(pairs.older[pairs.younger == found.cell].tolist())
        told = {one.cell for one in steps[info.digest].cells} if info.digest in steps else set()
        assert told == behind
    for one in found.beginnings:
        step = steps[one.version]
        assert (one.cell.round, one.cell.stage) == (step.info.round, step.info.stage)
        assert one.is_human == (one.cell.origin == "human")
