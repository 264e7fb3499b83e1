import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.cli import main
from flows.cli.ingest.frame import name_of
from storage.datasets.catalogue import latest, open_catalogue
from storage.layout import Workspace


@pytest.fixture
def folder(tmp_path):
    """Return a dataset of four images, one of them missing, with a bad box."""
    folder = tmp_path / "my data"
    folder.mkdir()
    images, annotations = [], []
    for key, name in enumerate(["a", "b", "c", "gone"]):
        images.append({"id": key, "file_name": f"{name}.png", "stain": "he" if key else "ihc"})
        annotations.append({"id": key, "image_id": key, "category_id": 1, "bbox": [1, 1, 5, 5]})
        if name != "gone":
            noise = np.random.default_rng(key).integers(0, 255, (90, 80, 3), np.uint8)
            Image.fromarray(noise).save(folder / f"{name}.png")
    annotations.append({"id": 9, "image_id": 1, "category_id": 1, "bbox": [1, 1, 0, 5]})
    categories = [{"id": 1, "name": "cell"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def run(tmp_path, capsys):
    """Return a function that ingests and gives the exit code, what was printed and complained."""

    def run(*words):
        code = main(["ingest", *map(str, words), "--workspace", str(tmp_path / "workspace")])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


def test_what_was_accepted_and_refused_is_told(run, folder, at):
    code, out, err = run("coco", folder, "--name", "mine")
    assert (code, err) == (0, "")
    assert "Dataset mine" in out
    assert "gone.png: there is no file gone.png" in out
    assert "b.png: annotation 9: its bbox" in out
    assert f"Next: signetflow run images-cpu --set dataset=mine --workspace {at.root}" in out
    assert len(open_catalogue(at, latest(at, "mine")).items) == 3


def test_json_is_one_object_with_the_counts(run, folder, at):
    code, out, err = run("coco", folder, "--hide", 0.5, "--seed", 7, "--json")
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["name"] == "my_data"
    assert answer["dataset"] == latest(at, "my_data").digest
    assert (answer["accepted"], answer["n_truth"], answer["n_complete"]) == (3, 3, 3)
    assert [one["name"] for one in answer["refused"]] == ["b.png: annotation 9", "gone.png"]
    assert answer["roles"] == {"positive": 3, "negative": 0, "unlabelled": 0}
    assert (answer["hide"], answer["seed"], answer["groups_per_fold"]) == (0.5, 7, [1, 1, 1])
    assert (open_catalogue(at, latest(at)).seed, open_catalogue(at, latest(at)).hide) == (7, 0.5)


def test_options_reach_the_reader(run, folder, at):
    words = ["--where", "stain=ihc", "--class", "cell", "--mpp", 0.25, "--group-by", "slide"]
    assert run("coco", folder, *words, "--name", "mine")[0] == 0
    [item] = open_catalogue(at, latest(at)).items
    assert (item.name, item.mpp, item.windows[0].role) == ("a", 0.25, "positive")


def test_nothing_accepted_is_refused_with_every_reason(run, folder, at):
    for image in folder.glob("*.png"):
        image.unlink()
    code, out, err = run("coco", folder, "--json")
    answer = json.loads(out)
    assert code == answer["error"]["exit_code"] == 3
    assert answer["error"]["type"] == "EmptyDatasetError"
    assert (answer["accepted"], len(answer["refused"])) == (0, 4)
    assert err.startswith("error: Dataset my_data: all was refused")
    assert not at.root.exists()


def test_strict_refuses_all_for_one(run, folder, at):
    code, out, err = run("coco", folder, "--strict")
    assert code == 3
    assert "gone.png: there is no file" in out
    assert "2 refused and --strict was given, so nothing was registered" in err
    assert not at.root.exists()
    answer = json.loads(run("coco", folder, "--strict", "--json")[1])
    assert (answer["dataset"], answer["error"]["exit_code"]) == (None, 3)


def test_a_long_list_of_refusals_is_cut(run, folder):
    content = json.loads((folder / "annotations.json").read_text())
    bad = {"image_id": 0, "category_id": 1, "bbox": [0, 0, 0, 0]}
    content["annotations"] += [{**bad, "id": 100 + i} for i in range(20)]
    (folder / "annotations.json").write_text(json.dumps(content))
    _, out, _ = run("coco", folder)
    assert "... 12 more, all in --json" in out
    assert len(json.loads(run("coco", folder, "--json")[1])["refused"]) == 22


def test_the_same_pixels_in_two_groups_are_refused_until_a_person_says_they_differ(run, folder, at):
    Image.open(folder / "a.png").rotate(180).save(folder / "c.png")
    code, out, _ = run("coco", folder, "--name", "mine", "--json")
    error = json.loads(out)["error"]
    assert (code, error["type"], error["exit_code"]) == (3, "DataLeakError", 3)
    assert "a and c show the same pixels" in error["message"]
    assert not at.root.exists()
    code, out, _ = run("coco", folder, "--name", "mine", "--json", "--allow-alike", "c=a")
    assert (code, json.loads(out)["alike"]) == (0, [])


def test_the_same_pixels_in_one_group_are_told(run, folder):
    Image.open(folder / "a.png").rotate(180).save(folder / "c.png")
    content = json.loads((folder / "annotations.json").read_text())
    for image in content["images"]:
        image["slide"] = "one"
    (folder / "annotations.json").write_text(json.dumps(content))
    code, out, _ = run("coco", folder, "--name", "mine")
    assert code == 0
    assert "a and c show the same pixels" in out


def test_images_named_like_tiles_are_told(run, folder):
    text = (folder / "annotations.json").read_text()
    for name, tile in (("a", "S_0_0"), ("c", "S_0_512")):
        (folder / f"{name}.png").rename(folder / f"{tile}.png")
        text = text.replace(f'"{name}.png"', f'"{tile}.png"')
    (folder / "annotations.json").write_text(text)
    code, out, _ = run("coco", folder, "--name", "mine")
    assert code == 0
    assert "2 images are named like tiles of one slide and lie" in out
    assert "S_0_0 and S_0_512" in out


def test_slides_are_added_to_a_dataset(run, folder, tmp_path, at):
    normal = tmp_path / "normal"
    normal.mkdir()
    (folder / "a.png").rename(normal / "n.png")
    code, out, _ = run("slides", normal, "--role", "negative", "--name", "mine")
    assert code == 0
    assert "Next: signetflow ingest coco ANNOTATED_IMAGES --name mine --add" in out
    assert run("coco", folder, "--name", "mine", "--add")[0] == 0
    items = open_catalogue(at, latest(at, "mine")).items
    assert [one.name for one in items] == ["b", "c", "n"]
    assert [one.windows[0].role for one in items] == ["positive", "positive", "negative"]


def test_a_made_up_dataset_is_read(run, tmp_path, at):
    from storage.datasets.synthetic.settings import SyntheticSettings
    from storage.datasets.synthetic.slides import make_dataset

    made = tmp_path / "made"
    settings = SyntheticSettings(
        organs=1, positive_slides=1, negative_slides=0, negative_windows=1, window_px=256
    )
    make_dataset(made, settings, processes=1)
    code, out, _ = run("synthetic", made, "--json")
    assert (code, json.loads(out)["accepted"]) == (0, 1)
    assert open_catalogue(at, latest(at, "made")).items[0].complete


def test_too_few_groups_for_hard_folds_are_told(run, folder):
    assert "Hard folds need at least three groups" in run("coco", folder, "--where", "stain=ihc")[1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--where", "stain"], 2, "expected key=value, such as stain=he"),
        (["--where", "stain=no"], 2, "leaves no image"),
        (["--class", "no"], 2, "no category is called 'no'; there are cell"),
        (["--hide", "7"], 2, "expected a fraction"),
        (["--name", "a/b"], 2, "cannot name a dataset"),
        (["--mpp", "352.8"], 3, "352.8, which no microscope gives"),
        (["--role", "bad"], 2, "'bad' is not one of"),
    ],
)
def test_wrong_use_and_refused_input_say_what_to_do(run, folder, at, words, code, message):
    found, _, err = run("coco", folder, *words)
    assert (found, message in err) == (code, True)
    assert not at.root.exists()


def test_a_path_that_is_not_there_is_refused(run, tmp_path):
    code, out, err = run("coco", tmp_path / "nowhere", "--json")
    assert (code, json.loads(out)["error"]["exit_code"]) == (3, 3)
    assert "no such file or folder" in err


def test_a_workspace_that_cannot_be_written_is_a_failure(run, folder, tmp_path):
    (tmp_path / "workspace").write_text("in the way")
    code, _, err = run("coco", folder)
    assert code != 0
    assert "workspace" in err


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("my data/", "my_data"),
        ("a/b.c", "b.c"),
        (".hidden", "hidden"),
        ("å", "_"),
        ("/", "dataset"),
    ],
)
def test_a_dataset_is_called_after_its_folder(path, name):
    assert name_of(Path(path)) == name


def test_help_teaches_with_an_example_and_imports_nothing_heavy():
    script = (
        "import sys; from flows.cli import main; main(['ingest', 'coco', '--help']); "
        "sys.exit(bool({'torch', 'zarr', 'pyarrow', 'tiffslide', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Example: signetflow ingest coco" in done.stdout
