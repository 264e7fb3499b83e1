"""What stands in a workspace after ``signetflow demo --size tiny``."""

import json
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from flows.config import Arm
from models.annotations import Role
from storage.artefacts import problems
from storage.datasets.splits import Part
from storage.detections import open_detections
from storage.layout import Kind, Ref
from storage.ledger import Ledger
from storage.regions import open_regions
from storage.tracking.outbox import QUIET
from tasks.trial import ANNOTATED, Selection, Trial

KEYS = {
    "mode", "fold", "seed", "arm", "model", "truth", "instance_recall", "collective_recall", "fps",
    "fps_basis", "froc", "froc_low", "froc_high", "candidate_floor", "n_steps", "label_version",
    "checkpoint",
}  # fmt: skip
MODELS = ("residual", "aggregated")
AGAIN_LIMIT_S = 5.0
HEAVY = ("torch", "prefect", "mlflow", "zarr", "segmentation_models_pytorch")
AUDITED = """
import json, sys
heard = []
def hook(event, _words):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "socket.connect",
                 "socket.bind"):
        heard.append(event)
sys.addaudithook(hook)
from flows.cli import main
code = main(sys.argv[1:])
print(json.dumps([sorted(sys.modules), heard]), file=sys.stderr)
sys.exit(code)
"""


def cli(capsys, *words):
    """Run a command here and return its exit code and its JSON object."""
    code = main([str(word) for word in (*words, "--json")])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def versions(demo, capsys):
    """Return what ``labels log`` tells, by digest."""
    code, answer = cli(capsys, "labels", "log", "--workspace", demo.at.root)
    assert code == 0
    return {one["digest"]: one for one in answer["versions"]}


def of(demo, truth="complete"):
    return {(r["model"], r["arm"]): r for r in demo.rows if r["truth"] == truth}


def test_the_command_ends_well_and_prints_one_object(demo):
    assert demo.done.returncode == 0
    assert demo.answer["nothing_new"] is False
    assert set(demo.answer) == {"run", "nothing_new", "report", "rows"}
    assert Path(demo.answer["report"]).is_file()


def test_without_a_terminal_stderr_has_a_plain_line_for_each_stage(demo):
    lines = demo.done.stderr.splitlines()
    assert lines[0].startswith("drawing slides into ")
    stages = [line for line in lines[1:] if line.endswith(": completed")]
    assert len(stages) > 50
    assert stages == lines[1:]
    assert "\x1b" not in demo.done.stderr


def test_the_table_has_exactly_the_promised_keys_and_every_arm(demo):
    on_disk = json.loads(Path(demo.answer["report"]).with_name("table.json").read_text())
    assert on_disk == {"rows": demo.rows}
    assert all(set(row) == KEYS for row in demo.rows)
    assert Counter((row["arm"], row["model"], row["truth"]) for row in demo.rows) == {
        (arm.value, model, truth): 1
        for arm in Arm for model in MODELS for truth in ("complete", "partial")
    }  # fmt: skip
    assert {(row["mode"], row["fold"], row["seed"]) for row in demo.rows} == {("hard", 0, 0)}


def test_figures_of_the_table_are_fractions_with_an_interval_around_them(demo):
    for row in demo.rows:
        assert 0 <= row["instance_recall"] <= row["collective_recall"] <= 1
        assert 0 <= row["froc_low"] <= row["froc"] <= row["froc_high"] <= 1
        assert row["fps"] >= 0
        assert row["fps_basis"] == "negative_images"
        assert row["candidate_floor"] == 0.15


def test_controls_take_exactly_the_steps_of_their_twins(demo):
    rows = of(demo)
    for model in MODELS:
        steps = {arm: rows[model, arm]["n_steps"] for arm in map(str, Arm)}
        assert steps["supervised_longer"] == steps["self"] > steps["supervised"] > 0
        assert steps["self_longer"] == steps["cooperative"] > steps["self"]


def test_versions_form_chains_that_begin_with_the_annotations(demo, versions):
    (root,) = [one for one in versions.values() if one["parent"] is None]
    assert (root["chain"], root["round"]) == ("annotations", 0)
    for one in versions.values():
        line = [one]
        while line[-1]["parent"]:
            line.append(versions[line[-1]["parent"]])
        assert line[-1] == root
    chains = Counter(one["chain"] for one in versions.values())
    for model in MODELS:
        assert chains[f"hard/fold0/seed0/self/{model}"] >= 1
        assert chains[f"hard/fold0/seed0/cooperative/{model}"] == 1


def test_a_persons_cells_are_equal_in_all_versions(versions):
    assert len({one["human_digest"] for one in versions.values()}) == 1
    assert len({one["human_count"] for one in versions.values()}) == 1
    assert next(iter(versions.values()))["human_count"] > 10


def test_rows_name_versions_and_checkpoints_that_are_there(demo, versions):
    for row in demo.rows:
        assert row["label_version"] in versions
        assert problems(demo.at, Ref(Kind.CHECKPOINT, row["checkpoint"]), thorough=True) == []
    for arm in ("supervised", "supervised_longer"):
        assert versions[of(demo)["residual", arm]["label_version"]]["parent"] is None


def test_every_artefact_is_whole(demo):
    refs = [
        Ref(kind, path.name)
        for kind in Kind for path in (demo.at.root / kind).iterdir()
        if (path / "MANIFEST.json").exists() and not path.is_symlink()
    ]  # fmt: skip
    assert len(refs) > 50
    assert [problems(demo.at, ref, thorough=True) for ref in refs] == [[]] * len(refs)
    assert list(demo.at.root.rglob(".draft-*")) == []


def test_stages_are_written_down_and_nothing_is_unfinished(demo):
    ledger = Ledger(demo.at)
    (run,) = ledger.runs()
    assert (run.run_id, run.state) == (demo.answer["run"], "completed")
    states = Counter(one.state for one in ledger.stages_of(run.run_id))
    assert set(states) == {"completed", "cached"}
    unfinished = demo.at.ledger / "unfinished"
    assert not unfinished.exists() or list(unfinished.iterdir()) == []
    assert ledger.pending_events() == ()


def test_no_process_is_left(demo):
    assert demo.left == ()


def test_the_page_is_one_file_that_needs_no_other(demo):
    page = Path(demo.answer["report"]).read_text()
    for word in ('src="http', "src='http", "@import", "<link"):
        assert word not in page
    for arm in Arm:
        assert arm.value in page
    assert "round 1" in page


def test_the_same_command_again_is_quick_and_starts_nothing(demo):
    fresh = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", AUDITED, *map(str, demo.words)],
        env=fresh, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["nothing_new"] is True
    assert answer["rows"] == demo.rows
    modules, heard = json.loads(done.stderr.splitlines()[-1])
    assert [name for name in HEAVY if name in modules] == []
    assert heard == []
    assert seconds < AGAIN_LIMIT_S


def test_for_people_it_says_nothing_new_and_shows_the_table(demo, capsys):
    words = [str(word) for word in demo.words if word != "--json"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Nothing new: every stage of this run is done")
    assert "cooperative" in printed
    assert f"report: {demo.at.root}/reports/{demo.answer['run']}/report.html" in printed


def test_a_moved_workspace_has_nothing_new_either(demo, capsys):
    moved = demo.at.root.with_name("moved away")
    demo.at.root.rename(moved)
    try:
        code, answer = cli(capsys, "demo", "--size", "tiny", "--workspace", moved)
        assert (code, answer["nothing_new"]) == (0, True)
        assert answer["rows"] == demo.rows
        assert Path(answer["report"]).is_file()
        assert str(moved) in answer["report"]
        assert not demo.at.root.exists()
    finally:
        moved.rename(demo.at.root)


def test_a_label_version_shows_what_the_log_tells(demo, versions, capsys):
    digest = of(demo)["residual", "cooperative"]["label_version"]
    code, shown = cli(capsys, "labels", "show", digest[:10], "--workspace", demo.at.root)
    assert code == 0
    assert shown["n_cells"] == versions[digest]["n_cells"]
    assert sum(shown["cells_by_round"].values()) == sum(shown["n_cells"].values())


def test_a_label_version_is_exported_for_qupath(demo, versions, capsys, tmp_path):
    digest = of(demo)["residual", "self"]["label_version"]
    code, exported = cli(
        capsys, "labels", "export", digest, "--output", tmp_path, "--workspace", demo.at.root
    )
    assert code == 0
    features = [
        feature for path in exported["files"]
        for feature in json.loads(Path(path).read_text())["features"]
    ]  # fmt: skip
    # Beside the cells, each region is there as a locked rectangle.
    cells = [one for one in features if not one["properties"].get("isLocked")]
    assert len(cells) == exported["n_cells"] == sum(versions[digest]["n_cells"].values())


@pytest.fixture
def client(demo, monkeypatch):
    """Return a client of the demo's MLflow store."""
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's models use what SQLAlchemy has deprecated
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=demo.at.mlflow_uri)


def test_mlflow_holds_the_run_its_rounds_and_their_labels(demo, versions, client):
    experiments = {one.name: one for one in client.search_experiments()}
    experiment = experiments["signetflow/tiny"]
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    (parent,) = [run for run in runs if run not in nested]
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} == {parent.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    arms = Counter((run.data.tags["model"], run.data.tags["arm"]) for run in nested)
    assert set(arms) == {(model, arm.value) for model in MODELS for arm in Arm}
    for run in nested:
        assert run.data.tags["labels.out"] in versions
        assert run.data.tags["labels.in"] in versions
        assert run.inputs is not None
        assert run.inputs.dataset_inputs[0].dataset.digest == run.data.tags["labels.out"]
        assert "loss" in run.data.metrics
    assert demo.at.mlflow_artefacts.is_dir()


def test_the_tables_figures_are_those_of_evaluate_on_plain_files(demo, tmp_path, capsys):
    """Go another way to a row's FROC: its stored detections as COCO files, and ``evaluate``."""
    row = max(of(demo).values(), key=lambda one: one["froc"])
    assert row["froc"] > 0
    regions = Ref(Kind.REGIONS, _only(demo.at.root / "regions"))
    source = open_regions(demo.at, regions)
    chosen = Selection(Trial("hard", 0, 0), Part.TEST, ANNOTATED).of(source)
    found = _detections_of(demo.at, row["checkpoint"], {info.region_id for info in chosen})
    truth, predicted = _as_coco(source, chosen, found)
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps(predicted))
    code, answer = cli(
        capsys, "evaluate", "--truth", tmp_path / "truth.json",
        "--predictions", tmp_path / "found.json",
    )  # fmt: skip
    assert code == 0
    for name in ("froc", "instance_recall", "collective_recall", "fps"):
        assert answer[name] == pytest.approx(row[name], abs=1e-9), name
    assert answer["fps_basis"] == row["fps_basis"]


def _only(folder):
    (name,) = [path.name for path in folder.iterdir() if len(path.name) == 32]
    return name


def _detections_of(at, checkpoint, region_ids):
    for path in (at.root / "detections").iterdir():
        found = open_detections(at, Ref(Kind.DETECTIONS, path.name))
        if found.facts["checkpoint"] == checkpoint and set(found.regions) == region_ids:
            return found
    raise AssertionError("the detections of the row are not there")


def _as_coco(source, chosen, found):
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    predicted: list[dict[str, Any]] = []
    for number, info in enumerate(chosen, start=1):
        images.append({
            "id": number, "file_name": f"{number}.png", "width": 10**6, "height": 10**6,
            "role": info.role.value, "complete": info.role is Role.POSITIVE, "slide": info.slide,
        })  # fmt: skip
        for x0, y0, x1, y1 in source.truth(info.region_id).boxes.tolist():
            box = [x0, y0, x1 - x0, y1 - y0]
            annotations.append({
                "id": len(annotations) + 1, "image_id": number, "category_id": 1, "bbox": box,
                "area": box[2] * box[3], "iscrowd": 0,
            })  # fmt: skip
        cells = found.detections(info.region_id)
        for (x0, y0, x1, y1), score in zip(cells.boxes.tolist(), cells.scores, strict=True):
            predicted.append({
                "image_id": number, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0],
                "score": float(score),
            })  # fmt: skip
    categories = [{"id": 1, "name": "cell"}]
    return {"images": images, "annotations": annotations, "categories": categories}, predicted
