"""The figures for Prometheus, as its own parser reads them."""

import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flows import gauges
from flows.cli import main
from flows.gauges import gauged, gauges_of
from flows.retrain import retrain
from models.errors import InputError
from models.geometry.settings import TileSettings
from storage.champion import stand
from storage.checkpoints import save_card
from storage.layout import Kind, Ref, Workspace
from storage.ledger import Event, Ledger, RunStage, StageRecord
from storage.locks import retraining
from tasks.ingest import annotate, extract
from tasks.stage import observer

RUN = "a" * 32


pytestmark = pytest.mark.usefixtures("no_mlflow")


def read(text):
    """Return the values by name and by labels, without the workspace."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {key: value for key, value in sample.labels.items() if key != "workspace"}
            found[sample.name.removeprefix("signetflow_"), *sorted(labels.values())] = sample.value
    return found


def test_the_figures_of_a_run_are_those_of_the_ledger(tmp_path):
    at = Workspace(tmp_path)
    ledger = Ledger(at)
    ledger.start_run("b" * 32, "before", {}, 1.0)
    ledger.finish_run("b" * 32, "completed", 77.0)
    ledger.start_run(RUN, "mine", {}, 2.0)
    card = save_card(at, {"alarms": ["more and more"]})
    ledger.record(StageRecord("k1", "weigh", "x", card, 0.0, 4.0), {})
    ledger.note_stage(RUN, RunStage("hard 0 · a · self round 3", "completed", "k1", ""))
    ledger.post(Event("run/a", {}))
    stand(at, "champion", Ref(Kind.CHECKPOINT, "f" * 32), by="ada", reason="better")
    found = read(gauges_of(at))
    assert found["last_success_timestamp_seconds",] == 77.0
    assert found["last_failure_timestamp_seconds",] == 0.0
    assert (found["runs", "stopped"], found["runs", "completed"]) == (1, 1)
    assert found["run_round", "mine", "self"] == 3
    assert found["run_alarms", "mine"] == 1
    assert found["run_stages", "completed", "mine"] == 1
    assert found["stage_seconds", "weigh"] == 4.0
    assert found["events_waiting",] == 1
    assert found["champion_since_timestamp_seconds", "f" * 12] > 1e9
    assert 0 < found["disk_free_bytes",] <= found["disk_size_bytes",]
    assert found["workspace_bytes",] > 1000


def test_a_run_writes_them_while_it_goes_and_when_it_has_ended(own_ground, monkeypatch, tmp_path):
    at, run, config = own_ground.at, own_ground.run, own_ground.config
    path, seen = tmp_path / "signetflow.prom", []
    monkeypatch.setenv("SIGNETFLOW_METRICS", str(path))
    monkeypatch.setattr(gauges, "EVERY_S", 0)
    Ledger(at).start_run(run.run_id, "mine", {}, 1.0)
    with gauged(at), retraining(at, "join"):
        regions = extract(run, "cut", dataset=own_ground.dataset, tiles=config.tiles)
        seen.append(read(path.read_text()))
        annotate(run, "draw", regions=regions, ellipses=config.ellipses)
        seen.append(read(path.read_text()))
        Ledger(at).finish_run(run.run_id, "completed", 99.0)
    assert [one["run_stages", "cached", "mine"] for one in seen] == [1, 2]
    assert [one["runs", "running"] for one in seen] == [1, 1]
    assert seen[1]["run_label_cells", "human", "mine"] > 0
    ended = read(path.read_text())
    assert (ended["runs", "running"], ended["runs", "completed"]) == (0, 1)
    assert ended["last_success_timestamp_seconds",] == 99.0


def test_a_run_that_fails_writes_them_too(own_ground, monkeypatch, tmp_path):
    monkeypatch.setenv("SIGNETFLOW_METRICS", str(tmp_path / "x.prom"))
    finer = own_ground.config.model_copy(update={"tiles": TileSettings(mpp=0.25)})
    with pytest.raises(InputError):
        retrain.fn(finer, own_ground.at.root)
    assert read((tmp_path / "x.prom").read_text())["runs", "failed"] == 1


def test_that_they_cannot_be_written_stops_no_run(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIGNETFLOW_METRICS", str(tmp_path / "file" / "x.prom"))
    heard = []
    token = observer.set(lambda *words: heard.append(words))
    try:
        with caplog.at_level(logging.WARNING), gauged(Workspace(tmp_path / "w")):
            observer.get()("cut", "completed", 1, 1)
    finally:
        observer.reset(token)
    assert heard == [("cut", "completed", 1, 1)]  # who watched before is told
    assert "cannot be written" in caplog.text


def test_the_command_prints_them_or_writes_them(tmp_path, capsys):
    at = ["--workspace", str(tmp_path / "none")]
    assert main(["ops", "metrics", *at]) == 0
    assert read(capsys.readouterr().out)["last_success_timestamp_seconds",] == 0
    assert main(["ops", "metrics", "--to", str(tmp_path / "x.prom"), *at]) == 0
    assert ("runs", "failed") in read((tmp_path / "x.prom").read_text())
    assert not (tmp_path / "none").exists()
