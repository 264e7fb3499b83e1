import json

from flows.cli import main
from storage.champion import stand
from storage.checkpoints import save_card
from storage.layout import Kind, Ref, Workspace
from storage.ledger import Event, Ledger, RunStage, StageRecord


def told(capsys, at, *words):
    code = main(["status", "--workspace", str(at.root), *words])
    assert code == 0
    return capsys.readouterr().out


def test_the_demo_is_completed(demo, capsys):
    answer = json.loads(told(capsys, demo.at, "--json"))
    (run,) = answer["runs"]
    assert (run["run"], run["state"], run["failed"]) == (demo.answer["run"], "completed", [])
    assert (run["name"], run["dataset"]) == ("tiny", "tiny-0")
    assert run["stages"].keys() == {"completed", "cached"}
    assert answer["events_waiting"] == 0
    assert run["report"].startswith("reports/")


def test_an_empty_workspace_says_how_to_start_and_stays_empty(tmp_path, capsys):
    at = Workspace(tmp_path / "none")
    assert "no run yet. Start with: signetflow demo" in told(capsys, at)
    assert json.loads(told(capsys, at, "--json"))["runs"] == []
    assert not at.root.exists()


def test_a_failed_run_says_where_why_and_what_to_do(tmp_path, capsys):
    at = Workspace(tmp_path)
    ledger = Ledger(at)
    ledger.start_run("a" * 32, "mine", {"dataset": "cells"}, 0.0)
    ledger.note_stage("a" * 32, RunStage("cut [regions]", "completed", "k1", ""))
    ledger.note_stage("a" * 32, RunStage("train [a]", "failed", "k2", "the loss is NaN"))
    ledger.finish_run("a" * 32, "failed", 9.0, message="the loss is NaN")
    ledger.post(Event("run/a", {}))
    ledger.post_once(Event("news/alarm/a", {}))
    out = told(capsys, at)
    assert "aaaaaaaa failed: train [a]: the loss is NaN" in out
    assert "aaaaaaaa is not finished: run the command that started it again." in out
    assert "1 completed 1 failed" in out
    assert "1970-01-01T00:00:00+00:00" in out  # a pipe has no width: nothing is cut off
    assert "1 events wait for the tracking server" in out
    assert "not told to people yet, for Prefect was away: 1;" in out
    (run,) = json.loads(told(capsys, at, "--json"))["runs"]
    assert run["failed"] == [{"label": "train [a]", "message": "the loss is NaN"}]


def test_a_run_that_was_killed_says_how_to_go_on(tmp_path, capsys):
    at = Workspace(tmp_path)
    Ledger(at).start_run("b" * 32, "mine", {}, 0.0)
    Ledger(at).start_run("c" * 32, "done", {}, 1.0)
    Ledger(at).finish_run("c" * 32, "completed", 2.0, result=Ref(Kind.REPORT, "d" * 32))
    out = told(capsys, at)
    assert "bbbbbbbb is not finished" in out
    assert "cccccccc is not finished" not in out
    assert out.index("cccccccc") < out.index("bbbbbbbb")  # the latest first


def test_an_alarm_of_a_run_that_is_still_going_is_seen(tmp_path, capsys):
    at = Workspace(tmp_path)
    ledger = Ledger(at)
    ledger.start_run("e" * 32, "mine", {}, 0.0)
    card = save_card(at, {"alarms": ["confirmation bias: more and more"]})
    ledger.record(StageRecord("k1", "weigh", "a · self_extra round 2", card, 0.0, 1.0), {})
    ledger.note_stage("e" * 32, RunStage("a · self_extra round 2", "completed", "k1", ""))
    said = "a · self_extra round 2: confirmation bias: more and more"
    assert f"eeeeeeee ALARM: {said}" in told(capsys, at)
    assert json.loads(told(capsys, at, "--json"))["runs"][0]["alarms"] == [said]


def test_the_champion_is_named_with_who_made_it_so(tmp_path, capsys):
    at = Workspace(tmp_path)
    Ledger(at).start_run("e" * 32, "mine", {}, 0.0)
    stand(at, "champion", Ref(Kind.CHECKPOINT, "f" * 32), by="ada", reason="better")
    assert "champion: ffffffffffff since" in told(capsys, at)
    assert json.loads(told(capsys, at, "--json"))["champion"]["by"] == "ada"
