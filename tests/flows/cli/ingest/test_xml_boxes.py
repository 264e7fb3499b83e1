import json

import numpy as np
import pytest
from PIL import Image

from flows.cli import main
from storage.datasets.catalogue import latest, open_catalogue
from storage.layout import Workspace

NEGATIVE = "D20190481111_2019-06-10 09_22_49-lv0-61840-23896-2000-2000"


def picture(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (90, 80, 3), np.uint8)).save(path)


def xml(path, *boxes, truncated=0):
    objects = "".join(
        f"<object><name>cell</name><truncated>{truncated}</truncated><bndbox><xmin>{x0}</xmin>"
        f"<ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for x0, y0, x1, y1 in boxes
    )
    path.write_text(f"<annotation>{objects}</annotation>")


@pytest.fixture
def folder(tmp_path):
    """Return positive and negative images: all of one, one of the other; one box is none."""
    folder = tmp_path / "data"
    for seed, name in enumerate("abc"):
        picture(folder / "pos" / f"{name}.png", seed)
        xml(folder / "pos" / f"{name}.xml", (1, 2, 30, 40), truncated=int(name == "a"))
    xml(folder / "pos" / "b.xml", (5, 5, 5, 9), (1, 2, 30, 40))
    picture(folder / "neg" / f"{NEGATIVE}.png", 7)
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


def test_a_digestpath_folder_is_read(run, folder, at):
    code, out, err = run("digestpath", folder, "--mpp", 0.25, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["roles"] == {"positive": 3, "negative": 1, "unlabelled": 0}
    assert [one["name"] for one in answer["refused"]] == ["b: object 1"]
    assert answer["noticed"] == {"objects marked truncated": 1}
    items = {one.name: one for one in open_catalogue(at, latest(at, "data")).items}
    assert items[NEGATIVE].attributes["patient"] == "D201904811"
    assert {one.mpp for one in items.values()} == {0.25}


def test_what_was_noticed_is_told(run, folder):
    _, out, _ = run("digestpath", folder)
    assert "noticed: objects marked truncated" in out
    assert "b: object 1: its box xmin 5, ymin 5, xmax 5, ymax 9 has width 0" in out


def test_a_voc_folder_is_read_with_its_options(run, folder, at):
    words = ["--class", "cell", "--complete", "--mpp", 0.5, "--hide", 0.5]
    assert run("voc", folder / "pos", *words, "--name", "mine")[0] == 0
    items = open_catalogue(at, latest(at, "mine")).items
    assert [(one.name, one.mpp, one.complete) for one in items] == [
        ("a", 0.5, True), ("b", 0.5, True), ("c", 0.5, True),
    ]  # fmt: skip


def test_images_without_a_file_are_what_the_user_says(run, folder, at):
    picture(folder / "pos" / "d.png", 9)
    assert "d.png: there is no XML file for it" in run("voc", folder / "pos")[1]
    words = ["--without-xml", "negative", "--image-by", "stem"]
    answer = json.loads(run("voc", folder / "pos", *words, "--json")[1])
    assert answer["roles"] == {"positive": 3, "negative": 1, "unlabelled": 0}
    answer = json.loads(run("digestpath", folder, "--without-xml", "unlabelled", "--json")[1])
    assert answer["roles"] == {"positive": 3, "negative": 1, "unlabelled": 1}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--class", "no"], 2, "no object is called 'no'; there are cell"),
        (["--mpp", "352.8"], 2, "none of a microscope"),
        (["--without-xml", "bad"], 2, "'bad' is not one of"),
    ],
)
@pytest.mark.parametrize("kind", ["voc", "digestpath"])
def test_wrong_use_says_what_to_do(run, folder, kind, words, code, message):
    found, _, err = run(kind, folder, *words)
    assert (found, message in err) == (code, True)


def test_a_folder_of_something_else_is_refused(run, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for kind in ("voc", "digestpath"):
        assert run(kind, tmp_path / "empty")[0] == 3
        assert run(kind, folder / "neg" / f"{NEGATIVE}.png")[0] == 3
