import sqlite3
import threading

import pytest

from models.errors import WorkspaceError
from storage.artefacts import commit, draft
from storage.layout import Kind, Ref, Workspace
from storage.ledger import Event, Ledger, RunStage, StageRecord


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def ledger(at):
    return Ledger(at)


def card(at, text="card"):
    with draft(at, Kind.CARD) as work:
        (work.path / "card.json").write_text(text)
        return commit(at, Kind.CARD, work)


def record(ref, key="k1", name="train", started=100.0, seconds=2.0):
    return StageRecord(key, name, f"label of {key}", ref, started, seconds)


def test_asking_a_workspace_that_never_ran_makes_nothing(at, ledger):
    assert ledger.find("k1") is None
    assert ledger.recorded("k1") is None
    assert ledger.runs() == ()
    assert ledger.stages_of("r") == ()
    assert ledger.pending_events() == ()
    assert ledger.typical_seconds() == {}
    assert not at.root.exists()


def test_a_finished_stage_is_found_again_by_another_process(at, ledger):
    known = record(card(at))
    ledger.record(known, {"b": 1, "a": [2]})
    assert Ledger(at).find("k1") == known
    assert Ledger(at).find("k2") is None


@pytest.mark.parametrize("harm", ["delete", "alter"])
def test_a_stage_whose_artefact_was_harmed_must_be_done_again(at, ledger, harm):
    kept, lost = card(at, "kept"), card(at, "lost")
    ledger.record(record(kept, "k1"), {})
    ledger.record(record(lost, "k2"), {})
    path = at.path(lost) / "card.json"
    path.unlink() if harm == "delete" else path.write_text("changed")
    assert ledger.find("k2") is None
    assert ledger.recorded("k2") is not None
    assert ledger.find("k1") is not None


def test_a_stage_that_is_done_again_replaces_its_record(at, ledger):
    ledger.record(record(card(at, "a")), {})
    again = record(card(at, "b"), seconds=7.0)
    ledger.record(again, {})
    assert ledger.find("k1") == again


def test_the_latest_maker_of_an_artefact_is_named(at, ledger):
    ref = card(at)
    assert ledger.made(ref) is None
    ledger.record(record(ref, "k1", started=1.0), {})
    ledger.record(record(ref, "k2", started=3.0), {})
    ledger.record(record(ref, "k3", started=2.0), {})
    found = ledger.made(ref)
    assert found is not None
    assert found.key == "k2"


def test_estimates_are_the_mean_over_stages_of_one_name(at, ledger):
    ref = card(at)
    for key, name, seconds in (("a", "train", 2.0), ("b", "train", 4.0), ("c", "judge", 1.0)):
        ledger.record(record(ref, key, name, seconds=seconds), {})
    assert ledger.typical_seconds() == {"train": 3.0, "judge": 1.0}


def test_a_run_keeps_its_first_start_and_is_running_again(at, ledger):
    ledger.start_run("r1", "tiny", {"seeds": [0]}, 10.0)
    ledger.finish_run("r1", "failed", 20.0, message="disk full")
    (failed,) = ledger.runs()
    assert (failed.state, failed.message, failed.finished) == ("failed", "disk full", 20.0)
    ledger.start_run("r1", "tiny", {"seeds": [0]}, 30.0)
    (run,) = ledger.runs()
    assert (run.state, run.message, run.started, run.finished) == ("running", "", 10.0, None)
    ledger.finish_run("r1", "completed", 40.0, result=Ref(Kind.REPORT, "a" * 32))
    (done,) = ledger.runs()
    assert (done.state, done.result) == ("completed", Ref(Kind.REPORT, "a" * 32))
    assert done.config == {"seeds": [0]}


def test_runs_are_listed_the_latest_first(ledger):
    for run_id, started in (("old", 1.0), ("new", 3.0), ("middle", 2.0)):
        ledger.start_run(run_id, "n", {}, started)
    assert [run.run_id for run in ledger.runs()] == ["new", "middle", "old"]


def test_stages_of_a_run_keep_the_order_in_which_they_were_met(ledger):
    for label in ("c", "a", "b"):
        ledger.note_stage("r1", RunStage(label, "running", f"key-{label}", ""))
    ledger.note_stage("r1", RunStage("c", "failed", "key-c", "why"))
    ledger.note_stage("r2", RunStage("z", "running", "key-z", ""))
    assert [(one.label, one.state) for one in ledger.stages_of("r1")] == [
        ("c", "failed"), ("a", "running"), ("b", "running"),
    ]  # fmt: skip
    assert ledger.stages_of("r1")[0].message == "why"


def test_an_event_waits_until_it_is_delivered_and_again_when_it_changes(ledger):
    event = Event("run/1", {"state": "running"})
    ledger.post(event)
    ledger.post(Event("run/2", {}))
    assert [one.topic for one in ledger.pending_events()] == ["run/1", "run/2"]
    ledger.mark_delivered(event, 5.0)
    ledger.post(event)
    assert [one.topic for one in ledger.pending_events()] == ["run/2"]
    ledger.post(Event("run/1", {"state": "completed"}))
    assert ledger.pending_events()[0] == Event("run/1", {"state": "completed"})
    assert len(ledger.pending_events(every=True)) == 2


def test_what_is_posted_once_stays_as_it_was_and_brings_its_companions_with_it(ledger):
    ledger.post_once(Event("a", {"n": 1}), Event("news/a", {}))
    ledger.mark_delivered(Event("a", {"n": 1}), 5.0)
    ledger.post_once(Event("a", {"n": 2}), Event("news/b", {}))
    assert ledger.pending_events() == ()
    assert ledger.pending_events(every=True) == (Event("a", {"n": 1}),)
    assert [one.topic for one in ledger.pending_news()] == ["news/a"]
    ledger.mark_delivered(Event("news/a", {}), 6.0)
    assert ledger.pending_news() == ()


def test_an_event_that_was_replaced_meanwhile_is_not_called_delivered(ledger):
    old = Event("run/1", {"state": "running"})
    ledger.post(old)
    ledger.post(Event("run/1", {"state": "completed"}))
    ledger.mark_delivered(old, 5.0)
    assert len(ledger.pending_events()) == 1


def test_a_ledger_of_a_newer_format_is_refused(ledger):
    ledger.start_run("r", "n", {}, 1.0)
    with sqlite3.connect(ledger.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(WorkspaceError, match=r"ledger format 99.*newer signetflow"):
        ledger.runs()


def test_a_file_that_is_no_ledger_is_refused_by_name(ledger):
    ledger.path.parent.mkdir(parents=True)
    ledger.path.write_bytes(b"not a database" * 100)
    with pytest.raises(WorkspaceError, match=r"ledger\.db: the ledger refused"):
        ledger.runs()


def test_threads_that_open_a_new_ledger_at_once_lose_nothing(at):
    barrier = threading.Barrier(8)

    def note(number):
        barrier.wait()
        for _ in range(3):
            Ledger(at).note_stage("r", RunStage(str(number), "running", str(number), ""))

    threads = [threading.Thread(target=note, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.label for one in Ledger(at).stages_of("r")} == {str(n) for n in range(8)}
