"""How a workspace stands, run by run."""

import fcntl

import pytest

from flows.facts import facts_of
from flows.stages import open_run
from storage.layout import Kind, Ref, Workspace
from storage.ledger import Ledger, RunStage
from storage.locks import exclusive, retraining
from storage.observed import disk_of, is_made_now

RUN, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def at(tmp_path):
    at = Workspace(tmp_path)
    config = {"dataset": "cells", "self_training": {"rounds": 3}, "cooperative": {"rounds": 5}}
    Ledger(at).start_run(RUN, "mine", config, 1.0)
    return at


def only(at):
    (run,) = facts_of(at).runs
    return run


def note(at, label, state, key="k1"):
    Ledger(at).note_stage(RUN, RunStage(label, state, key, ""))


def test_a_run_that_no_process_is_at_work_on_has_stopped(at):
    assert only(at).state == "stopped"
    with retraining(at, "skip"):
        assert only(at).state == "running"
    with retraining(at, "join"):
        assert only(at).state == "running"
    assert only(at).state == "stopped"


def test_of_two_runs_the_one_whose_stage_is_being_made_is_running(at):
    Ledger(at).start_run(OTHER, "later", {}, 2.0)
    note(at, "hard 0 · a · self round 2", "running")
    with retraining(at, "skip"), exclusive(at.ledger / "locks" / "k1.lock"):
        found = {one.record.run_id: one.state for one in facts_of(at).runs}
    assert found == {RUN: "running", OTHER: "stopped"}


@pytest.mark.parametrize(
    ("arm", "most"), [("self", 3), ("supervised_longer", 3), ("self_longer", 5), ("cooperative", 5)]
)
def test_a_run_says_which_round_it_has_come_to_and_of_how_many(at, arm, most):
    assert only(at).round is None
    note(at, "hard 0 · a · supervised", "completed", "k0")
    note(at, f"hard 0 · a · {arm} round 2", "running")
    come_to = only(at).round
    assert (come_to.arm, come_to.number, come_to.most) == (arm, 2, most)
    assert only(at).at_work_on is None  # nobody is
    with retraining(at, "skip"):
        assert only(at).at_work_on == f"hard 0 · a · {arm} round 2"


def test_what_is_left_is_judged_by_stages_of_the_same_kind(own_ground):
    at, config = own_ground.at, own_ground.config
    run = open_run(config, at)
    Ledger(at).start_run(run.run_id, config.name, config.model_dump(mode="json"), 0.0)
    known = only(at)
    assert (known.n_left or 0) > 10
    assert known.eta_s is None  # nobody knows how long a training takes


def test_a_configuration_that_means_something_else_now_has_no_estimate(at):
    assert (only(at).n_left, only(at).eta_s) == (None, None)


def test_the_last_success_is_the_one_that_ended_last(at):
    ledger = Ledger(at)
    assert facts_of(at).last("completed") is None
    ledger.finish_run(RUN, "completed", 9.0, result=Ref(Kind.REPORT, "d" * 32))
    ledger.start_run(OTHER, "later", {}, 2.0)
    ledger.finish_run(OTHER, "completed", 5.0)
    success = facts_of(at).last("completed")
    assert success is not None
    assert success.record.run_id == RUN


def test_only_as_many_runs_as_asked_have_their_stages_and_a_killed_one_is_seen_all_the_same(at):
    ledger = Ledger(at)
    note(at, "cut", "completed")
    for number in range(3):
        ledger.start_run(str(number) * 32, "later", {}, 5.0 + number)
        ledger.note_stage(str(number) * 32, RunStage("cut", "completed", "k1", ""))
        ledger.finish_run(str(number) * 32, "completed", 6.0 + number)
    runs = facts_of(at, n_detailed=2).runs
    assert [len(one.stages) for one in runs] == [1, 1, 0, 1]
    assert [one.state for one in runs] == ["completed"] * 3 + ["stopped"]
    assert all(one.stages for one in facts_of(at).runs)


def test_a_file_with_two_names_counts_once(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "one").write_bytes(b"x" * 1000)
    (tmp_path / "two").hardlink_to(tmp_path / "below" / "one")
    (tmp_path / "three").write_bytes(b"x" * 50)
    (tmp_path / "link").symlink_to("three")
    used = disk_of(Workspace(tmp_path)).used
    assert used is not None
    assert 1050 <= used < 1100  # the link has the length of its target's name
    assert disk_of(Workspace(tmp_path), seconds=-1).used is None
    assert disk_of(Workspace(tmp_path / "not" / "there")).used == 0


def test_a_stage_is_made_now_while_its_lock_is_held_and_looking_makes_no_lock(tmp_path):
    at = Workspace(tmp_path)
    assert not is_made_now(at, "k1")
    assert list(tmp_path.iterdir()) == []
    with exclusive(at.ledger / "locks" / "k1.lock"):
        assert is_made_now(at, "k1")
    assert not is_made_now(at, "k1")


def test_looking_never_makes_a_retraining_that_begins_meanwhile_skip(at, monkeypatch):
    def refuse(*_words):
        raise AssertionError("the lock of retrainings was taken")

    (at.ledger / "retraining.lock").touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert only(at).state == "stopped"
