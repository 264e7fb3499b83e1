"""A workspace with two label versions, and a function that runs a labels command on it."""

import numpy as np
import pytest

from flows.cli import main
from models.annotations import Annotations, Polygons
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.geometry.tiles import Placement
from models.merging.records import Provenance, human_records, next_records
from models.merging.relabel import Previous, relabel
from models.merging.settings import MergeSettings
from models.merging.three_steps import HumanCells
from storage.labels.store import LabelDraft
from storage.layout import Workspace

REGION, AT, SHAPE = "slide-a@0,0", Placement(0, 0, 1.0), (60, 90)
DRAWN = np.array([[10.0, 10, 30, 34], [40, 12, 60, 30]])


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def run_at(capsys):
    """Return a function that runs a labels command on a workspace: exit code, stdout, stderr."""

    def run_at(at, *words):
        code = main(["labels", *map(str, words), "--workspace", str(at.root)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_at


@pytest.fixture
def run(at, run_at):
    """Return the same for the workspace of the test."""
    return lambda *words: run_at(at, *words)


@pytest.fixture
def refs(at):
    """Return version 0 of two drawn cells, and a round that found one more."""
    marked = Annotations(np.array(["a", "b"]), DRAWN, Polygons.none(2))
    classes, cells = rasterise(DRAWN, SHAPE, EllipseSettings())
    records = human_records(marked)
    with LabelDraft(
        at, parent=None, chain="annotations", round=0, stage="ingest", parameters={}
    ) as draft:
        draft.put(REGION, AT, classes, cells, records, 3)
        first = draft.commit()
    predicted, _ = rasterise(np.array([[65.0, 35, 85, 55]]), SHAPE, EllipseSettings())
    result = relabel(
        predicted, (predicted == 2) * np.float32(0.8), HumanCells(classes, cells),
        Previous(cells, 3), MergeSettings(),
    )  # fmt: skip
    after = next_records(result, records, AT, Provenance(1, "self", "abc"))
    with LabelDraft(
        at, parent=first, chain="hard/0", round=1, stage="self",
        parameters={"merging": {"threshold": 0.7}},
    ) as draft:  # fmt: skip
        draft.put(REGION, AT, result.classes, result.cells, after, result.next_cell_id)
        return first, draft.commit()
