import json
import subprocess
import sys

import numpy as np
import pytest

from flows.cli import main
from models.annotations import Annotations, CellRecords, Polygons
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
def run(at, capsys):
    """Return a function that runs a labels command and gives exit code, stdout and stderr."""

    def run(*words):
        code = main(["labels", *map(str, words), "--workspace", str(at.root)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


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


def test_log_lists_chains_with_growth_and_parents(run, refs):
    code, out, _ = run("log")

    first, second = (ref.digest[:8] for ref in refs)
    assert code == 0
    assert out.index("chain annotations") < out.index(first) < out.index("chain hard/0")
    row = next(line for line in out.splitlines() if second in line)
    cells = [cell.strip() for cell in row.replace("│", "|").split("|")[1:-1]]
    assert cells == [second, "1", "self", "2", "1", "+50.0%", first]


def test_log_as_json_holds_every_version(run, refs):
    code, out, err = run("log", "--json")

    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert [one["digest"] for one in answer["versions"]] == [ref.digest for ref in refs]
    assert [one["growth"] for one in answer["versions"]] == [None, 0.5]
    assert answer["versions"][1]["n_cells"] == {"human": 2, "pseudo": 1}


def test_log_of_an_empty_workspace_says_what_to_do(run):
    code, out, _ = run("log")

    assert code == 0
    assert "No label versions" in out
    assert "signetflow demo" in out


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


@pytest.mark.parametrize(
    ("name", "written"), [("geojson", "slide-a.geojson"), ("coco", "annotations_coco.json")]
)
def test_export_writes_the_format_that_is_asked(run, refs, tmp_path, name, written):
    folder = tmp_path / "out"
    code, out, _ = run("export", refs[1].digest, "--format", name, "--output", folder, "--json")

    answer = json.loads(out)
    assert code == 0
    assert answer["files"] == [str(folder / written)]
    assert answer["n_cells"] == 3
    assert (folder / written).is_file()


def test_export_says_how_much_it_wrote_and_where(run, refs, tmp_path):
    code, out, _ = run("export", refs[0].digest, "--output", tmp_path / "out")

    assert code == 0
    assert out.startswith(f"2 cells of version {refs[0].digest[:8]}: ")
    assert out.strip().endswith("slide-a.geojson")


def test_an_unknown_format_is_wrong_use(run, refs, tmp_path):
    code, _, err = run("export", refs[0].digest, "--format", "csv", "--output", tmp_path / "out")

    assert code == 2
    assert "csv" in err


def test_log_imports_neither_torch_nor_zarr(at, refs):
    script = (
        "import sys; from flows.cli import main; main(['labels', 'log', '--json', '--workspace', "
        f"{str(at.root)!r}]); heavy = {{'torch', 'zarr', 'mlflow', 'prefect'}} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
