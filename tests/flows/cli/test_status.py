import json

from flows.cli import main
from storage.layout import Kind, Ref, Workspace
from storage.ledger import Event, Ledger, RunStage


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
    out = told(capsys, at)
    assert "aaaaaaaa failed: train [a]: the loss is NaN" in out
    assert "aaaaaaaa is not finished: run the command that started it again." in out
    assert "1 completed 1 failed" in out
    assert "1970-01-01T00:00:00+00:00" in out  # a pipe has no width: nothing is cut off
    assert "1 events wait for the tracking server" in out
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
