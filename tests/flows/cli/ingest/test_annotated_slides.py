import json

import pytest
from PIL import Image

from flows.cli import main
from models.annotations import Role
from storage.datasets.catalogue import latest, open_catalogue
from storage.layout import Workspace


def box(name, class_name, *corners, kind="annotation"):
    x0, y0, x1, y1 = corners
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    told = {"objectType": kind, "classification": {"name": class_name}}
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "id": name, "geometry": geometry, "properties": told}


def slide(folder, name, *objects):
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (300, 200), (len(name) * 40, 150, ord(name[0]))).save(folder / f"{name}.png")
    (folder / f"{name}.geojson").write_text(json.dumps(objects))


@pytest.fixture
def folder(tmp_path):
    """Return three slides: completely annotated, partly, and without regions."""
    folder = tmp_path / "data"
    slide(folder, "a", box("r", "Complete", 0, 0, 100, 100), box("a1", "SRC", 10, 10, 30, 30),
          box("a2", "Lymphocyte", 50, 10, 60, 20))  # fmt: skip
    slide(folder, "bb", box("r", "annotated", 0, 0, 100, 100), box("b1", "SRC", 10, 10, 30, 30),
          box("b2", "SRC", 200, 110, 230, 130),
          box("b3", "SRC", 50, 50, 60, 60, kind="detection"))  # fmt: skip
    slide(folder, "ccc", box("c1", "SRC", 10, 10, 30, 30))
    return folder


@pytest.fixture
def run(tmp_path, capsys):
    def run(*words):
        code = main(["ingest", *map(str, words), "--workspace", str(tmp_path / "workspace")])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


def test_slides_annotated_in_qupath_are_read(run, folder, at):
    code, out, err = run("geojson", folder, "--class", "SRC", "--name", "mine", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert (answer["accepted"], answer["n_annotations"], answer["n_truth"]) == (2, 2, 1)
    assert answer["roles"] == {"positive": 2, "negative": 0, "unlabelled": 2}
    assert [one["name"] for one in answer["refused"]] == ["ccc.png"]
    assert answer["noticed"] == {
        "cells outside every annotated region, not used": 1,
        "objects that a program found, not used (see --detections)": 1,
    }
    catalogue = open_catalogue(at, latest(at, "mine"))
    assert catalogue.annotations("a").ids.tolist() == ["a1"]
    assert catalogue.item("a").rest is Role.UNLABELLED


def test_without_a_class_all_of_them_are_cells(run, folder, at):
    _, out, _ = run("geojson", folder, "--detections", "--rest", "ignore", "--json")
    assert json.loads(out)["n_annotations"] == 4
    catalogue = open_catalogue(at, latest(at, "data"))
    assert sorted(catalogue.annotations("bb").ids.tolist()) == ["b1", "b3"]
    assert catalogue.item("a").rest is None


def test_slides_without_regions_take_the_role_that_is_given(run, folder, at):
    _, out, _ = run("geojson", folder, "--role", "positive", "--complete", "--json")
    assert json.loads(out)["refused"] == []
    catalogue = open_catalogue(at, latest(at, "data"))
    truth = catalogue.truth("ccc")
    assert truth is not None
    assert truth.ids.tolist() == ["c1"]


def test_regions_may_have_classes_of_ones_own(run, folder, at):
    words = ["--class", "SRC", "--complete-class", "nothing", "--annotated-class", "annotated",
             "--negative-class", "Lymphocyte"]  # fmt: skip
    code, out, err = run("geojson", folder, *words, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert "the region is 10 x 10 px" in answer["refused"][0]["reason"]
    assert answer["accepted"] == 1


def test_annotations_may_lie_in_a_folder_of_their_own(run, folder, tmp_path, at):
    other = tmp_path / "exported"
    other.mkdir()
    for path in folder.glob("*.geojson"):
        path.rename(other / path.name)
    code, out, _ = run("geojson", folder, "--annotations", other, "--json")
    assert (code, json.loads(out)["accepted"]) == (0, 2)


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["--class", "src"], 2, "no object has the class 'src'; there are SRC (4), Lymphocyte (1)"),
        (["--complete"], 2, "Give --role positive as well"),
        (["--negative-class", "annotated"], 2, "'annotated' is to mean"),
        (["--rest", "negative", "--class", "SRC", "--strict"], 3, "2 refused and --strict"),
        (["--mpp", "353"], 2, "--mpp 353"),
    ],
)
def test_wrong_use_and_refusals_have_their_exit_codes(run, folder, words, code, reason):
    found, _, err = run("geojson", folder, *words)
    assert found == code
    assert reason in err


def test_a_folder_with_nothing_to_read_is_refused(run, tmp_path):
    (tmp_path / "data").mkdir()
    code, _, err = run("geojson", tmp_path / "data")
    assert code == 3
    assert "no slides or images there" in err


def test_what_was_noticed_is_shown_to_people(run, folder):
    _, out, _ = run("geojson", folder, "--class", "SRC")
    assert "noticed: cells outside every annotated region, not used" in out
    assert "ccc.png: ccc.geojson: no region is drawn" in out


def test_outlines_of_imagescope_are_read(run, folder, at):
    for path in folder.glob("*.geojson"):
        path.unlink()
    region = '<Region Id="5" Type="2"><Vertices><Vertex X="10" Y="20"/><Vertex X="30" Y="50"/>'
    (folder / "a.xml").write_text(
        f'<Annotations MicronsPerPixel="0.25"><Annotation Id="1" Name="SRC"><Regions>{region}'
        f"</Vertices></Region></Regions></Annotation></Annotations>"
    )
    words = ["--class", "SRC", "--role", "positive", "--complete"]
    code, out, _ = run("aperio", folder, *words, "--name", "mine", "--json")
    answer = json.loads(out)
    assert (code, answer["accepted"], answer["n_truth"]) == (0, 1, 1)
    assert [one["name"] for one in answer["refused"]] == ["bb.png", "ccc.png"]
    catalogue = open_catalogue(at, latest(at, "mine"))
    assert catalogue.item("a").mpp == 0.25
    assert catalogue.annotations("a").boxes.tolist() == [[10, 20, 30, 50]]
