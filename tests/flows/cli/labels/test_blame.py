import json
import re

import numpy as np
import pytest

from models.annotations import CellRecords, Origin
from models.geometry.tiles import Placement
from storage.labels.log import log
from storage.labels.revert import What, revert
from storage.labels.store import LabelDraft, open_version
from storage.ledger import Ledger

REGION = "slide-a@0,0"
PLAIN = re.compile(r"[^\w.,;:()/-]+")


def words(out):
    return PLAIN.sub(" ", out)


def test_a_found_cell_is_told_from_version_to_version(run, refs):
    code, out, _ = run("blame", refs[1].digest, "--cell", 3)

    assert code == 0
    assert f"Cell 3 of region {REGION} in version {refs[1].digest[:8]}" in out
    assert "found by a network (checkpoint abc) in round 1 of self with score" in out
    assert "and 1 vote, above the threshold 0.7" in out
    assert re.search(rf"{refs[1].digest[:8]} 1 self 3 found 0\.\d\d\d", words(out))


def test_a_persons_cell_leads_to_the_annotation(run, refs):
    code, out, _ = run("blame", refs[1].digest, "--cell", 1)

    assert code == 0
    assert f"drawn by a person: annotation a (cell 1 in {refs[0].digest[:8]})" in out


def test_a_tag_names_the_version_and_a_place_the_cell(run, refs):
    run("tag", "gold", refs[1].digest)
    code, out, err = run("blame", "gold", "--at", "75,45", "--region", REGION, "--json")

    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert (answer["version"], answer["region"], answer["cell"]) == (refs[1].digest, REGION, 3)
    assert [step["version"] for step in answer["steps"]] == [refs[1].digest]
    (began,) = answer["beginnings"]
    assert (began["by"], began["checkpoint"], began["threshold"]) == ("network", "abc", 0.7)
    assert began["votes"] == 1
    assert 0 < began["score"] <= 1
    assert answer["place"]["pixel"] == "inner"


def test_an_empty_place_names_the_nearest_cell_and_its_distance(run, refs):
    code, out, _ = run("blame", refs[1].digest, "--at", "2,2")

    assert code == 0
    assert "No cell there: x 2, y 2 of region slide-a@0,0 is background" in out
    assert re.search(r"The nearest cell is 1, \d+\.\d level-0 pixels away\.", out)
    assert "lay there" not in out


def test_an_empty_place_names_what_removed_the_cell_that_was_there(run, at, refs):
    back = revert(at, refs[1], What(origin=Origin.PSEUDO)).ref
    _, out, _ = run("blame", back.digest, "--at", "75,45")

    assert f"Cell 3 lay there until version {refs[1].digest[:8]}; round 1 of revert" in out
    assert f"(version {back.digest[:8]}, taken back: origin pseudo) removed it." in out
    (story,) = re.findall(r"signetflow labels (blame .*)", out)
    assert "found by a network" in run(*story.split())[1]


def test_an_empty_place_as_json(run, refs):
    _, out, _ = run("blame", refs[1].digest, "--at", "2,2", "--json")

    answer = json.loads(out)
    assert answer["cell"] is None
    assert answer["place"]["nearest"]["cell"] == 1
    assert answer["place"]["removed"] is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "--cell ID or --at X,Y"),
        (["--cell", 1, "--at", "1,1"], "one of the two"),
        (["--at", "1"], "expected two numbers such as --at 1830,5012"),
        (["--at", "1,nan"], "expected two numbers"),
        (["--at", "1,1000"], "lies outside region slide-a@0,0"),
        (["--cell", 99], "has no cell 99"),
        (["--cell", 1, "--region", "b"], "has no region b"),
    ],
)
def test_what_cannot_be_answered_is_wrong_use_and_says_what_to_give(run, refs, asked, said):
    code, out, err = run("blame", refs[1].digest, *asked)

    assert (code, out) == (2, "")
    assert said in err


def test_of_several_regions_one_must_be_named(run, at):
    nothing = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint32), CellRecords.none(), 1
    with LabelDraft(at, parent=None, chain="a", round=0, stage="ingest", parameters={}) as draft:
        for region in ("r0", "r1"):
            draft.put(region, Placement(0, 0, 1.0), *nothing)
        ref = draft.commit()
    code, _, err = run("blame", ref.digest, "--at", "1,1")

    assert code == 2
    assert "has 2 regions: name one with --region, such as r0, r1" in err
    assert "The region has no cell at all." in run(
        "blame", ref.digest, "--at", "1,1", "--region", "r1"
    )[1]  # fmt: skip


def test_in_a_real_run_every_cell_has_a_beginning_a_network_and_a_configuration(demo, run_at):
    (config,) = (run.run_id for run in Ledger(demo.at).runs())
    networks = {row["model"] for row in demo.rows}
    beginnings = []
    for info in log(demo.at)[::4]:
        version = open_version(demo.at, info.ref)
        region_id = max(version.region_ids, key=lambda one: len(version.records(one)))
        records = version.records(region_id)
        for cell in records.cell_ids[:: max(1, len(records) // 4)].tolist():
            where = ("--cell", cell, "--region", region_id)
            code, out, _ = run_at(demo.at, "blame", info.digest, *where, "--json")
            answer = json.loads(out)
            assert (code, answer["gone"]) == (0, None)
            assert {one for step in answer["steps"] for one in step["configs"]} == {config}
            beginnings += answer["beginnings"]
            _is_true(answer, records, cell)
    found = [one for one in beginnings if one["by"] == "network"]
    assert len(beginnings) > len(found) > 3
    assert {one["network"] for one in found} <= networks
    assert {len(one["checkpoint"]) for one in found} == {32}


def _is_true(answer, records, cell):
    """Compare the beginning with the record of the cell in the version that was asked about."""
    row = int(np.flatnonzero(records.cell_ids == cell)[0])
    for one in answer["beginnings"]:
        if records.is_human[row] and one["cell"] == cell:
            assert (one["by"], one["annotation_id"]) == ("person", str(records.annotation_ids[row]))
        elif one["cell"] == cell:
            assert one["checkpoint"] == str(records.checkpoints[row])
            assert one["round"] == int(records.rounds[row])
            assert 0 < one["threshold"] < 1
