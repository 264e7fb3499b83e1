import json

import numpy as np
import pytest
from PIL import Image

from flows.cli import main
from storage.datasets.catalogue import latest, open_catalogue
from storage.layout import Workspace


@pytest.fixture
def folder(tmp_path):
    """Return a dataset of four images, one of them without labels."""
    folder = tmp_path / "nuclei"
    for kind in ("images", "nuclei_values"):
        (folder / kind).mkdir(parents=True)
    for seed, name in enumerate("abcd"):
        noise = np.random.default_rng(seed).integers(0, 255, (90, 80, 3), np.uint8)
        Image.fromarray(noise).save(folder / "images" / f"{name}.png")
        values = np.zeros((90, 80), np.uint16)
        values[10:20, 10:30], values[40:60, 5:25] = 1, 700
        if name != "d":
            Image.fromarray(values).save(folder / "nuclei_values" / f"{name}.png")
    return folder


@pytest.fixture
def run(tmp_path, capsys):
    def run(*words):
        typed = ["ingest", "masks", *words, "--workspace", tmp_path / "workspace"]
        code = main(list(map(str, typed)))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_label_images_are_read_with_all_options(run, folder, tmp_path):
    words = ["--labels", "nuclei_values", "--mpp", 0.5, "--without-labels", "unlabelled"]
    code, out, err = run(folder, *words, "--partial", "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["roles"] == {"positive": 3, "negative": 0, "unlabelled": 1}
    assert (answer["n_annotations"], answer["n_complete"]) == (6, 0)
    at = Workspace(tmp_path / "workspace")
    assert {one.mpp for one in open_catalogue(at, latest(at, "nuclei")).items} == {0.5}


def test_what_is_drawn_is_the_truth_unless_told_otherwise(run, folder):
    answer = json.loads(run(folder, "--labels", "nuclei_values", "--hide", 0.5, "--json")[1])
    assert (answer["n_complete"], answer["n_truth"]) == (3, 6)
    assert answer["n_annotations"] < 6
    assert [one["name"] for one in answer["refused"]] == ["images/d.png"]


def test_folders_of_other_names_are_asked_for(run, folder):
    code, _, err = run(folder)
    assert code == 3
    assert "Expected folders images and labels" in err
