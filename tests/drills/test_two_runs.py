"""Two runs on one workspace: what both need is made once, and neither waits for a dead one."""

import os
import signal
import time
from collections import Counter

import pytest

from tests.drills.place import differing

PATIENCE_S = 240


@pytest.fixture
def pair(drill_ground, tmp_path):
    """Return two runs that differ in the threshold of their rounds, on one workspace."""
    first = drill_ground.workplace(tmp_path)
    second = drill_ground.beside(first, tmp_path / "second.yaml", threshold=0.6)
    return first, second


@pytest.fixture
def started():
    """Return a function that starts a run; what is left of it at the end is killed."""
    processes = []

    def start(place):
        processes.append(place.start())
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def made(place):
    """Return how often each stage was made, by what the runs said."""
    lines = (place.at.root / "drill.log").read_text().splitlines()
    labels = (line.rpartition("/")[2].partition("  ")[2] for line in lines if "completed" in line)
    return Counter(label.removesuffix(": completed") for label in labels)


@pytest.mark.slow
@pytest.mark.server
def test_two_runs_at_once_make_what_both_need_once_and_end_as_if_alone(
    drill_ground, pair, started, tmp_path
):
    alone = drill_ground.workplace(tmp_path / "alone")
    alone.finish()
    drill_ground.beside(alone, tmp_path / "alone" / "second.yaml", threshold=0.6).finish()
    first, second = pair
    processes = [started(first), started(second)]
    assert [process.wait(PATIENCE_S) for process in processes] == [0, 0]
    assert differing(first.ends(), alone.ends()) == {}
    times = made(first)
    assert times["cut regions"] == times["draw label version 0"] == 1
    assert times["hard fold 0 seed 0 · residual · supervised"] == 2  # it is trained, and weighed
    assert sum(times.values()) == len(alone.stages())
    assert {state for (state,) in first.ask("SELECT state FROM runs")} == {"completed"}


@pytest.mark.slow
@pytest.mark.server
def test_a_run_that_waits_for_another_goes_on_when_that_one_is_killed(
    drill_ground, pair, started, tmp_path
):
    alone = drill_ground.workplace(tmp_path / "alone")
    drill_ground.beside(alone, tmp_path / "alone" / "second.yaml", threshold=0.6).finish()
    training = next(one for one in alone.stages() if one.name == "train")
    first, second = pair
    killed = started(first)
    until(lambda: training.key in first.held(), killed)
    os.killpg(killed.pid, signal.SIGSTOP)  # it holds the stage, and does not get on
    waiting = started(second)
    until(lambda: ("waiting",) in first.ask("SELECT state FROM run_stages"), waiting)
    (message,) = first.ask("SELECT message FROM run_stages WHERE state = 'waiting'")
    assert message[0] == f"process {killed.pid} makes it"
    os.killpg(killed.pid, signal.SIGKILL)
    assert waiting.wait(PATIENCE_S) == 0
    assert differing(second.ends(), alone.ends()) == {}
    assert first.finish()["nothing_new"] is False
    assert "another run makes it just now; waiting" in (first.at.root / "drill.log").read_text()


def until(true, process):
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert process.poll() is None, "the run ended before"
        assert time.monotonic() < deadline
        time.sleep(0.005)
