import gzip
import json

import numpy as np
import pytest
from PIL import Image

from flows.cli import main
from storage import cluster
from storage.datasets.drawn import Drawn
from storage.geojson_objects import read_objects


@pytest.fixture(scope="module")
def checkpoint(demo):
    """Return the checkpoint of the row that finds most."""
    best = max(demo.rows, key=lambda row: row["froc"])
    assert best["froc"] > 0
    return best["checkpoint"]


@pytest.fixture
def predict(demo, checkpoint, capsys):
    """Return a function that runs the command and gives exit code, stdout and stderr."""

    def run(*words, checkpoint=checkpoint):
        everything = ("predict", *words, "--checkpoint", checkpoint, "--workspace", demo.at.root)
        code = main([str(word) for word in everything])
        return code, *capsys.readouterr()

    return run


def slide_of(demo, organ=0):
    return demo.at.root / "slides" / "tiny-0" / f"organ{organ:02d}-slide00-positive.svs"


def test_cells_of_a_slide_are_written_for_qupath(demo, predict, checkpoint, tmp_path):
    slides = [slide_of(demo, organ) for organ in range(3)]
    code, out, err = predict(*slides, "--output", tmp_path / "found", "--json")
    assert (code, err) == (0, "")
    files = json.loads(out)["files"]
    assert [file["path"] for file in files] == [
        str(tmp_path / "found" / f"{slide.name}.geojson") for slide in slides
    ]
    features = []
    for file in files:
        content = json.loads((tmp_path / "found" / file["path"]).read_text())
        assert len(content["features"]) == file["n_cells"]
        features += content["features"]
    assert features
    for feature in features:
        assert feature["properties"]["objectType"] == "detection"
        assert feature["properties"]["metadata"]["checkpoint"] == checkpoint
        assert 0 < feature["properties"]["measurements"]["score"] <= 1
        ring = np.array(feature["geometry"]["coordinates"][0])
        assert (ring >= 0).all()
        assert (ring <= 4096).all()


def test_the_first_digits_of_a_checkpoint_are_enough(demo, predict, checkpoint, tmp_path):
    words = (slide_of(demo), "--output", tmp_path)
    code, out, _ = predict(*words, checkpoint=checkpoint[:10])
    assert code == 0
    assert out.startswith(f"{tmp_path / slide_of(demo).name}.geojson: ")
    assert out.strip().endswith("cells")


def test_the_result_may_be_compressed_and_read_again(demo, predict, tmp_path):
    slide = slide_of(demo)
    for folder, words in (("plain", ()), ("packed", ("--gz",))):
        code, _, _ = predict(slide, "--output", tmp_path / folder, *words)
        assert code == 0
    plain = tmp_path / "plain" / f"{slide.name}.geojson"
    packed = tmp_path / "packed" / f"{slide.name}.geojson.gz"
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    found = list(read_objects(packed, slide.stem))
    assert found
    assert all(isinstance(one, Drawn) and one.by_program for one in found)


def test_nothing_is_written_over_and_that_is_known_before_the_work(demo, predict, tmp_path):
    kept = tmp_path / f"{slide_of(demo, 1).name}.geojson"
    kept.write_text("mine")
    words = (slide_of(demo, 0), slide_of(demo, 1), "--output", tmp_path)
    code, _, err = predict(*words)
    assert code == 2
    assert "is already there. Give another --output" in err
    assert kept.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [kept]


def test_one_bad_file_refuses_all_before_the_work(demo, predict, tmp_path):
    broken = tmp_path / "broken.png"
    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(broken)
    broken.write_bytes(broken.read_bytes()[:80])
    out = tmp_path / "out"
    code, said, err = predict(slide_of(demo), broken, "--output", out, "--json")
    assert code == 3
    assert json.loads(said)["error"]["type"] == "ImageError"
    assert "broken.png" in err
    assert len(err.strip().splitlines()) <= 2
    assert list(out.iterdir()) == []


def test_two_files_of_one_name_would_share_a_result(demo, predict, tmp_path):
    paths = [tmp_path / folder / "a.png" for folder in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        Image.fromarray(np.full((96, 96, 3), 200, np.uint8)).save(path)
    code, _, err = predict(*paths, "--output", tmp_path / "out")
    assert code == 2
    assert "have one name" in err


def test_an_image_without_a_pixel_size_is_read_with_a_warning(demo, predict, tmp_path, caplog):
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((200, 260, 3), 230, np.uint8)).save(path)
    code, out, _ = predict(path, "--output", tmp_path / "out", "--json")
    assert code == 0
    assert "photo.png has no pixel size" in caplog.text
    assert len(json.loads(out)["files"]) == 1


def test_a_coarser_image_than_the_training_is_refused(demo, predict, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((200, 260, 3), 230, np.uint8)).save(path)
    code, _, err = predict(path, "--output", tmp_path / "out", "--mpp", "1")
    assert code == 3
    assert "has 1 micrometres per pixel, but the network was trained at 0.5" in err


@pytest.mark.parametrize(
    ("checkpoint", "code", "words"),
    [("ffffffffffff", 2, "no checkpoint begins with"), ("", 2, "no checkpoint begins with")],
)
def test_an_unknown_checkpoint_is_wrong_use(demo, predict, tmp_path, checkpoint, code, words):
    found, _, err = predict(slide_of(demo), "--output", tmp_path, checkpoint=checkpoint)
    assert found == code
    assert words in err


def test_a_cluster_that_cannot_be_asked_is_said_before_the_work(
    demo, predict, tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    for address, expected, words in [
        ("10.0.0.5", 2, "expected the address of a scheduler"),
        ("tcp://127.0.0.1:9", 1, "no Dask scheduler answers"),
    ]:
        code, _, err = predict(slide_of(demo), "--output", tmp_path, "--dask", address)
        assert code == expected
        assert words in err
        assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_wrong_use(predict, tmp_path):
    code, _, err = predict(tmp_path / "none.svs", "--output", tmp_path / "out")
    assert code == 2
    assert "none.svs" in err
    assert not (tmp_path / "out").exists()
