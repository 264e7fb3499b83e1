"""Servers that go away while a run is under way: PostgreSQL, MLflow, both and all."""

import json
import re
import signal
import time
import urllib.parse
import urllib.request

import psutil
import pytest

from storage.ledger import Ledger
from tests.drills.ops.plant import PRESET, under_way, until

pytestmark = pytest.mark.xdist_group("operations_drills")
AWAY_S = 8


@pytest.mark.slow
@pytest.mark.server
def test_a_run_during_which_postgresql_restarts_ends_as_any_other(
    plant, postgres, undisturbed, place, measured
):
    run = plant.ask(place)
    until(lambda: undisturbed.last_training in under_way(place), "the training of a round")
    began = time.monotonic()
    postgres.stop()
    try:  # so long that the run has to say how it ended
        until(lambda: Ledger(place).runs()[0].state == "completed", "the end of the work")
        time.sleep(AWAY_S)
    finally:
        postgres.start()
    away = time.monotonic() - began
    assert plant.ended(run) == "Completed"
    ended = time.monotonic() - began
    assert plant.served.poll() is plant.worker.poll() is None
    assert undisturbed.differs(place) == {}
    again = plant.ask(place)
    assert plant.ended(again) == "Nothing new"
    measured(
        f"PostgreSQL away for {away:.1f} s: run Completed {ended:.1f} s after it went, same "
        f"digests, servers and worker went on"
    )


@pytest.mark.slow
@pytest.mark.server
def test_a_run_during_which_mlflow_hangs_ends_as_any_other_and_is_told_later(
    plant, undisturbed, place, measured
):
    run = plant.ask(place, config=PRESET | {"name": "hangs"})
    until(lambda: undisturbed.last_training in under_way(place), "the training of a round")
    began = time.monotonic()
    hanging = mlflow_of(plant)
    for one in hanging:
        one.suspend()
    try:
        assert plant.ended(run) == "Completed"
        away = time.monotonic() - began
        assert undisturbed.differs(place) == {}
        assert Ledger(place).pending_events()
    finally:
        for one in hanging:
            one.resume()
    deliver(plant, place)
    assert told(plant, "hangs") == told(plant, "drill")
    measured(
        f"MLflow hung for {away:.1f} s, to the end of the run: Completed, same digests, and "
        f"`track deliver` told it the same as ever"
    )


@pytest.mark.slow
@pytest.mark.server
def test_a_run_during_which_all_servers_end_and_come_back_ends_as_any_other(
    plant, undisturbed, place, measured
):
    run = plant.ask(place, config=PRESET | {"name": "ends"})
    until(lambda: undisturbed.last_training in under_way(place), "the training of a round")
    began = time.monotonic()
    for one in mlflow_of(plant):
        one.send_signal(signal.SIGKILL)
    assert plant.served.wait(60) == 1
    assert "mlflow ended by itself" in plant.log("serve")
    time.sleep(AWAY_S)
    plant.serve()
    away = time.monotonic() - began
    assert plant.ended(run) == "Completed"
    ended = time.monotonic() - began
    assert undisturbed.differs(place) == {}
    deliver(plant, place)
    assert told(plant, "ends") == told(plant, "drill")
    measured(
        f"MLflow killed, so `ops serve` ended; all servers away for {away:.1f} s: run Completed "
        f"{ended:.1f} s after, same digests, MLflow told the same as ever"
    )


def mlflow_of(plant):
    """Return the processes of MLflow's server."""
    served = psutil.Process(plant.served.pid).children()
    (server,) = [one for one in served if "mlflow" in one.cmdline()]
    return [server, *server.children(recursive=True)]


def deliver(plant, at):
    plant.run("flows.cli", "track", "deliver", "--workspace", str(at.root))
    assert Ledger(at).pending_events() == ()


def told(plant, name):
    """Return the runs that MLflow shows of a configuration: name, how it ended, its metrics."""
    named = urllib.parse.quote(f"signetflow/{name}", safe="")
    path = f"experiments/get-by-name?experiment_name={named}"
    experiment = _asked(plant, path)["experiment"]["experiment_id"]
    runs = _asked(plant, "runs/search", {"experiment_ids": [experiment], "max_results": 100})[
        "runs"
    ]
    return sorted(
        (
            re.sub(f"^{name} [0-9a-f]{{8}}$", "the run", run["info"]["run_name"]),
            run["info"]["status"],
            sorted(one["key"] for one in run["data"].get("metrics", ())),
        )
        for run in runs
    )


def _asked(plant, path, body=None):
    request = urllib.request.Request(  # noqa: S310  # http, ours
        f"{plant.mlflow}/api/2.0/mlflow/{path}",
        data=json.dumps(body).encode() if body else None,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  # http, ours
        return json.loads(answer.read())
