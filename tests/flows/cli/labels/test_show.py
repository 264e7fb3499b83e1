import json

import numpy as np

from models.annotations import CellRecords
from models.geometry.tiles import Placement
from storage.labels.store import LabelDraft

REGION, AT, SHAPE = "slide-a@0,0", Placement(0, 0, 1.0), (60, 90)


def test_show_tells_counts_parameters_and_rounds(run, refs):
    code, out, _ = run("show", refs[1].digest[:6])

    assert code == 0
    for words in ("merging.threshold", "0.7", "human cells", "cells of round 1", REGION):
        assert words in out


def test_show_lists_the_first_regions_and_counts_the_rest(run, at):
    nobody = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint32), CellRecords.none()
    with LabelDraft(
        at, parent=None, chain="annotations", round=0, stage="ingest", parameters={}
    ) as draft:
        for number in range(22):
            draft.put(f"slide-{number}@0,0", AT, *nobody, 1)
        ref = draft.commit()
    _, out, _ = run("show", ref.digest)

    assert "22 regions" in out
    assert "and 2 more; --json lists all" in out


def test_show_as_json_holds_regions_and_rounds(run, refs):
    code, out, _ = run("show", refs[1].digest[:6], "--json")

    answer = json.loads(out)
    assert code == 0
    assert answer["cells_by_round"] == {"0": 2, "1": 1}
    assert answer["regions"][REGION]["n_cells"] == {"human": 2, "pseudo": 1}
    assert answer["parent"] == refs[0].digest


def test_a_version_that_is_not_there_is_wrong_use(run, refs):
    code, out, err = run("show", "ffffffff", "--json")

    assert code == 2
    assert json.loads(out)["error"]["type"] == "NotFoundError"
    assert "no label version or tag 'ffffffff'" in err
