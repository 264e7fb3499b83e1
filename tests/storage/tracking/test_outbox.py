"""The outbox against a real store: everything arrives, once, whatever happens in between."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from itertools import pairwise

import pytest
from mlflow.tracking._tracking_service import utils as service

from storage.artefacts import commit, draft
from storage.checkpoints import save_checkpoint
from storage.layout import Kind, Workspace
from storage.tracking.outbox import Delivery, deliver

pytestmark = pytest.mark.xdist_group("mlflow")
STARTED_MS = 1_700_000_000_000


def test_a_retraining_is_a_parent_run_with_its_configuration_and_dataset(story):
    story.post(story.announced())
    assert deliver(story.at) == Delivery(1, 0, "")
    run = story.parent
    assert run.info.status == "RUNNING"
    assert run.info.start_time == STARTED_MS
    assert run.data.params == {
        "training.epochs": "2",
        "training.crops": "[64,96]",
        "mode": "hard",
    }
    assert run.data.tags["seed"] == "0"
    assert "git" not in run.data.tags
    (entry,) = run.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("synthetic", "d" * 32)
    assert json.loads(entry.dataset.source) == {"artefact": f"datasets/{'d' * 32}"}
    assert json.loads(entry.dataset.profile)["n_regions"] == 4


def test_a_round_is_a_closed_nested_run_whose_curves_carry_its_own_times(story):
    story.post(story.announced(), story.round())
    assert deliver(story.at).delivered == 2
    (run,) = story.nested
    assert (run.info.run_name, run.info.status) == ("self 1", "FINISHED")
    assert run.info.end_time - STARTED_MS == 150_000
    assert story.curve(run, "loss") == [(10, 0.9, 125_000), (20, 0.5, 150_000)]
    assert story.curve(run, "validation_froc") == [(20, 0.4, 150_000)]
    assert story.curve(run, "growth") == [(20, 0.25, 150_000)]
    assert story.curve(run, "final.loss") == [(20, 0.7, 150_000)]
    assert "unknown" not in run.data.metrics
    assert run.data.tags["labels.in"] == "a" * 32
    contexts = {i.dataset.digest: i.tags[0].value for i in run.inputs.dataset_inputs}
    assert contexts == {"a" * 32: "training", "b" * 32: "produced"}


def test_a_checkpoint_is_a_ready_model_of_weights_and_card_with_its_metrics(story, checkpoint):
    story.post(story.announced(), story.round(checkpoint=str(checkpoint)))
    deliver(story.at)
    (run,) = story.nested
    client = story.client
    (output,) = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert model.status == "READY"
    assert {metric.key: metric.value for metric in model.metrics}["growth"] == 0.25
    assert {metric.dataset_digest for metric in model.metrics} == {"a" * 32}
    files = {file.path for file in client.list_logged_model_artifacts(output.model_id)}
    assert files == {"weights.safetensors", "card.json"}


def test_an_ending_closes_the_run_with_its_table_report_and_description(story):
    with draft(story.at, Kind.REPORT) as work:
        (work.path / "report.html").write_text("<p>as measured</p>")
        report = commit(story.at, Kind.REPORT, work)
    story.post(story.announced(), story.round(), story.end(report=str(report)))
    assert deliver(story.at) == Delivery(3, 0, "")
    run = story.parent
    assert (run.info.status, run.info.end_time - STARTED_MS) == ("FINISHED", 900_000)
    assert story.curve(run, "froc.self.unet.complete") == [
        (0, 0.61, 900_000),
        (1, 0.71, 900_000),
    ]
    (nested,) = story.nested
    page = f"#/experiments/{nested.info.experiment_id}/runs/{nested.info.run_id}"
    row = f"| [self 1]({page}) | {'a' * 12} | {'b' * 12} | 9 |"
    assert row in run.data.tags["mlflow.note.content"]
    files = {file.path for file in story.client.list_artifacts(run.info.run_id)}
    assert files == {"config.json", "table.json", "report.html"}
    digests = {entry.dataset.digest for entry in run.inputs.dataset_inputs}
    assert digests == {"d" * 32, "a" * 32, "b" * 32}


def test_an_event_that_the_server_refuses_does_not_hold_back_the_others(story):
    long = {"name": "labels", "digest": "f" * 64, "context": "training"}
    story.post(story.announced(), story.round(labels=[long]), story.end())
    refused = deliver(story.at)
    assert (refused.delivered, refused.waiting) == (2, 1)
    assert f"round/{story.run_id}/self-1: refused" in refused.problem
    assert [run.info.status for run in story.nested] == ["FAILED"]
    story.post(story.round())
    assert deliver(story.at) == Delivery(1, 0, "")
    assert [run.info.status for run in story.nested] == ["FINISHED"]


def test_a_round_that_was_made_anew_replaces_its_old_curves(story):
    story.post(story.announced(), story.round())
    deliver(story.at)
    story.post(story.round(seconds=80.0, history=[{"step": 20, "loss": 0.3}]))
    assert deliver(story.at).delivered == 1
    (run,) = story.nested
    assert story.curve(run, "loss") == [(20, 0.3, 180_000)]


def test_a_failed_run_that_is_resumed_ends_as_finished(story):
    story.post(story.announced(), story.end(state="failed", message="disk full", rows=[]))
    deliver(story.at)
    failed = story.parent
    assert failed.info.status == "FAILED"
    assert failed.data.tags["mlflow.note.content"].startswith("**failed** disk full")
    story.post(story.announced(), story.round(), story.end())
    assert deliver(story.at).delivered == 2
    assert story.parent.info.run_id == failed.info.run_id
    assert story.parent.info.status == "FINISHED"


def test_results_that_are_told_again_later_appear_once(story):
    story.post(story.announced(), story.end())
    deliver(story.at)
    story.post(story.end(finished=STARTED_MS / 1000 + 950))
    deliver(story.at)
    points = story.curve(story.parent, "froc.self.unet.complete")
    assert [step for step, _, _ in points] == [0, 1]


def test_a_parent_run_that_the_server_lost_is_made_again_with_the_next_round(story):
    story.post(story.announced())
    deliver(story.at)
    story.client.delete_run(story.parent.info.run_id)
    story.post(story.round())
    assert deliver(story.at).delivered == 1
    assert story.parent.data.params["mode"] == "hard"
    assert len(story.nested) == 1


def test_a_run_that_is_announced_anew_keeps_its_first_parameters_and_gains_new_ones(story):
    story.post(story.announced())
    deliver(story.at)
    story.post(story.announced(config={"mode": "easy", "fold": 1}, tags={"seed": 7}))
    assert deliver(story.at) == Delivery(1, 0, "")
    run = story.parent
    assert (run.data.params["mode"], run.data.params["fold"]) == ("hard", "1")
    assert run.data.tags["seed"] == "7"


def test_a_slug_may_hold_what_a_file_name_may_not(story, checkpoint):
    story.post(story.announced(), story.round("hard/0: 50%.unet", checkpoint=str(checkpoint)))
    assert deliver(story.at) == Delivery(2, 0, "")
    assert len(story.nested[0].outputs.model_outputs) == 1


def test_a_round_of_a_run_that_nobody_announced_waits(story):
    story.post(story.round())
    assert "was never announced" in deliver(story.at).problem
    story.post(story.announced())
    deliver(story.at)
    assert deliver(story.at).waiting == 0


def test_a_checkpoint_that_was_removed_from_the_workspace_is_left_out(story):
    import torch

    lost = save_checkpoint(story.at, {"weight": torch.ones(3)}, {})
    shutil.rmtree(story.at.path(lost))
    story.post(story.announced(), story.round(checkpoint=str(lost)))
    assert deliver(story.at) == Delivery(2, 0, "")
    (run,) = story.nested
    assert not run.outputs.model_outputs


def test_the_files_follow_a_workspace_that_is_moved(story, tmp_path, checkpoint):
    story.post(story.announced(), story.round(checkpoint=str(checkpoint)))
    deliver(story.at)
    moved = Workspace(tmp_path / "elsewhere")
    shutil.copytree(story.at.root, moved.root)
    # A process meets one place only; this one has met the old one and MLflow remembers it.
    service._artifact_repos_cache.clear()
    told = type(story)(moved, story.run_id)
    told.post(told.end())
    assert deliver(moved) == Delivery(1, 0, "")
    run = told.parent
    assert run.info.artifact_uri.startswith(moved.mlflow_artefacts.as_uri())
    assert list(moved.mlflow_artefacts.glob(f"*/{run.info.run_id}/artifacts/table.json"))
    at_home = {file.path for file in story.client.list_artifacts(run.info.run_id)}
    assert at_home == {"config.json"}
    (nested,) = told.nested
    model = told.client.get_logged_model(nested.outputs.model_outputs[0].model_id)
    assert model.artifact_location.startswith(moved.mlflow_artefacts.as_uri())


def test_a_delivery_is_silent_local_and_imports_mlflow_only_when_it_has_something_to_say(tmp_path):
    script = f"""
import sys
from pathlib import Path
from storage.layout import Workspace
from storage.ledger import Event, Ledger
from storage.tracking.outbox import deliver
asked = []
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        asked.append(arguments)
        raise OSError("no network here")
sys.addaudithook(refuse)
at = Workspace(Path({str(tmp_path)!r}))
deliver(at)
assert "mlflow" not in sys.modules
body = {{"type": "run", "run_id": "r", "name": "demo", "config": {{}}, "started": 1.0,
        "dataset": {{"name": "s", "digest": "0"}}}}
Ledger(at).post(Event("run/r", body))
assert deliver(at).delivered == 1
assert "torch" not in sys.modules
assert not asked, asked
"""
    # MLflow's telemetry keeps still under pytest, which it knows by the environment.
    plain = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=plain,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_round_with_a_long_history_costs_less_than_half_a_second(story):
    history = [
        {"step": step, "loss": 1 / step, "validation_froc": 0.5, "learning_rate": 0.001}
        for step in range(1, 401)
    ]
    story.post(story.announced(), *(story.round(f"self-{n}", history=history) for n in range(4)))
    begun = time.process_time()
    assert deliver(story.at).delivered == 5
    assert time.process_time() - begun < 5 * 0.5
    steps = [step for step, _, _ in story.curve(story.nested[0], "loss")]
    assert all(before < after for before, after in pairwise(steps))
    assert len(steps) == 400
