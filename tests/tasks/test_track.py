import json
import logging
import socket
from collections import Counter

import pytest

from models.errors import TrackingError
from storage.checkpoints import load_card
from storage.ledger import Ledger
from tasks.stage import Run
from tasks.track import Tracker


@pytest.fixture
def unheard(monkeypatch):
    """Return the address of a tracking server that is not there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{held.getsockname()[1]}")
        yield


@pytest.fixture
def tracked(conducted, tmp_path, unheard):
    """Return a workspace whose run was told to a server that is away, and what waits for it."""
    ground = conducted.ground.copied(tmp_path)
    run = Run(ground.at, "r1")
    run.ledger.start_run("r1", "ground", {}, 50.0)
    tracker = Tracker(run)
    config = ground.config.model_dump(mode="json")
    tracker.run_started("ground", config, ground.dataset)
    for arm in conducted.heard:
        tracker.arm_finished(arm)
    tracker.run_ended(conducted.report)
    return ground.at, {one.topic: one.body for one in Ledger(ground.at).pending_events()}


def test_a_server_that_is_away_costs_nothing_but_a_warning(tracked, caplog):
    _, events = tracked
    assert Counter(topic.split("/")[0] for topic in events) == {
        "run": 1, "end": 1, "round": len(events) - 2,
    }  # fmt: skip


def test_each_round_of_each_arm_is_an_event_of_its_own(tracked, conducted):
    _, events = tracked
    slugs = {
        f"hard/0/0/{arm.model}/{arm.arm}/{one.number}"
        for arm in conducted.heard for one in arm.rounds
    }  # fmt: skip
    assert {topic for topic in events if topic.startswith("round/")} == {
        f"round/r1/{slug}" for slug in slugs
    }


def test_a_round_tells_labels_checkpoint_curve_and_decision(tracked, conducted):
    at, events = tracked
    arm = next(arm for arm in conducted.heard if (arm.arm, arm.model) == ("self", "a"))
    one = arm.rounds[0]
    body = events["round/r1/hard/0/0/a/self/1"]
    assert body["tags"]["labels.in"] == one.labels_before.digest
    assert body["tags"]["labels.out"] == one.labels.digest
    assert body["checkpoint"] == str(one.checkpoint)
    assert body["history"] == load_card(at, one.checkpoint)["history"]
    verdict = load_card(at, one.verdict)
    assert body["metrics"]["churn"] == verdict["churn"]
    assert "growth" not in body["metrics"]  # a first round has none
    assert body["tags"]["decision"] == verdict["reason"]
    assert body["labels"][0]["digest"] == one.labels.digest
    assert body["labels"][0]["n_human"] == 12
    assert body["seconds"] > 0


def test_the_end_tells_table_and_rounds(tracked, conducted):
    _, events = tracked
    end = events["end/r1"]
    assert end["state"] == "completed"
    assert end["report"] == str(conducted.report)
    assert len(end["rows"]) == 24
    assert len(end["rounds"]) == len(events) - 2


def test_a_run_is_told_with_its_first_start(tracked):
    _, events = tracked
    assert events["run/r1"]["started"] == 50.0
    assert events["run/r1"]["dataset"]["name"] == "ground"
    assert json.dumps(events["run/r1"])


def test_a_failed_run_is_told_with_its_reason(own_ground, unheard, caplog):
    run = Run(own_ground.at, "r2")
    run.ledger.start_run("r2", "ground", {}, 1.0)
    with caplog.at_level(logging.WARNING):
        Tracker(run).run_ended(None, "the disk is full")
    (event,) = run.ledger.pending_events()
    assert (event.body["state"], event.body["message"]) == ("failed", "the disk is full")
    assert event.body["rows"] == []
    assert "1 event waits" in caplog.text
    assert issubclass(TrackingError, RuntimeError)


def test_telling_a_round_again_changes_nothing(tracked, conducted):
    at, events = tracked
    tracker = Tracker(Run(at, "r1"))
    for arm in conducted.heard:
        tracker.arm_finished(arm)
    now = {one.topic: one.body for one in Ledger(at).pending_events()}
    assert now == events
