"""Servers that are away or break, and processes that die: nothing is lost, nothing is double."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from storage.tracking import session
from storage.tracking.outbox import Delivery, deliver

pytestmark = pytest.mark.xdist_group("mlflow")


class Crash(BaseException):
    """The process dies: nothing may catch this."""


@dataclass
class Breaker:
    """Counts the calls of a client; the n-th reaches the server, its answer is not heard."""

    last: int = 0
    error: BaseException = field(default_factory=Crash)
    calls: int = 0

    def client(self, **where):
        return Fragile(MlflowClient(**where), self)


@dataclass
class Fragile:
    client: MlflowClient
    breaker: Breaker

    def __getattr__(self, name):
        def call(*arguments, **named):
            answer = getattr(self.client, name)(*arguments, **named)
            self.breaker.calls += 1
            if self.breaker.calls == self.breaker.last:
                raise self.breaker.error
            return answer

        return call


@pytest.fixture
def interrupted(monkeypatch):
    """Return a function that makes `deliver` use a client that breaks after so many calls."""

    def arm(last, error=None):
        breaker = Breaker(last, error or Crash())
        monkeypatch.setattr(session, "MlflowClient", breaker.client)
        return breaker

    return arm


def test_every_event_delivered_again_changes_nothing(story, checkpoint):
    story.post(story.announced(), story.round(checkpoint=str(checkpoint)), story.end())
    deliver(story.at)
    before = story.picture()
    assert deliver(story.at) == Delivery(0, 0, "")
    assert deliver(story.at, every=True).waiting == 0
    assert story.picture() == before


def test_a_crash_after_any_call_leaves_nothing_twice_and_nothing_open(
    story, checkpoint, interrupted
):
    whole = type(story)(story.at, story.run_id + "-whole")
    whole.post(*whole.whole(checkpoint))
    counted = interrupted(0)
    deliver(story.at)
    expected = whole.picture()
    assert counted.calls > 15
    for last in range(1, counted.calls + 1):
        broken = type(story)(story.at, f"{story.run_id}-{last}")
        broken.post(*broken.whole(checkpoint))
        interrupted(last)
        with pytest.raises(Crash):
            deliver(story.at)
        interrupted(0)
        assert deliver(story.at).waiting == 0
        seen = broken.picture()
        assert seen == expected, f"after call {last}"


def test_a_server_that_breaks_in_the_middle_keeps_the_rest_for_later(story, interrupted):
    story.post(story.announced(), story.round(), story.end())
    interrupted(9, MlflowException("the database\nis locked"))
    broken = deliver(story.at)
    assert (broken.delivered, broken.waiting) == (1, 2)
    assert "it failed (the database); 2 events wait" in broken.problem
    interrupted(0)
    assert deliver(story.at) == Delivery(2, 0, "")
    assert story.parent.info.status == "FINISHED"
    assert len(story.nested) == 1


def test_a_server_that_is_away_costs_no_time_and_no_event(story, closed_port):
    story.post(story.announced())
    begun = time.monotonic()
    away = deliver(story.at, uri=f"http://me:secret@127.0.0.1:{closed_port}")
    assert time.monotonic() - begun < 3
    assert (away.delivered, away.waiting) == (0, 1)
    assert f"http://127.0.0.1:{closed_port}" in away.problem
    assert "secret" not in away.problem
    assert "1 event waits" in away.problem
    assert deliver(story.at).delivered == 1


def test_an_address_that_is_no_server_is_a_problem_and_not_an_error(story, tmp_path):
    story.post(story.announced())
    assert deliver(story.at, uri=str(tmp_path / "mlruns")).waiting == 1
    assert deliver(story.at).delivered == 1
