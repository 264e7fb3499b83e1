"""Scheduled runs in a row: memory of servers and worker, zombies, lost runs.

Run with ``python -m benchmarks.soak [RUNS] [SECONDS BETWEEN]``. On SQLite, or on the databases that
PREFECT_SERVER_DATABASE_CONNECTION_URL and MLFLOW_BACKEND_STORE_URI name: empty ones, for it alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from flows.server import free_port, wait_until_healthy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.client.schemas.objects import FlowRun

RUNS, BETWEEN_S = 50, 30
FROM_RUN = 10
"""Memory of this run is what that of later ones is compared with."""
GROWTH = 1.10
FIRST_S, LATE_S = 900, 120
"""How long the first run may take, which trains; and how late a later one may end."""
KINDS = ("rss", "pss", "uss")
DEPLOYMENT = "retrain/weekly"
OVERRIDES = ("dataset=tiny-0", 'arms=["supervised"]')


def measure(runs: int, between_s: int) -> dict[str, Any]:
    """Return memory by run, and what became of the runs."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, _served(Path(folder)) as processes:
        _set_up(Path(folder) / "workspace")
        _scheduled(between_s)
        samples: list[dict[str, float]] = []
        began = time.monotonic()
        while len(samples) < runs:
            if time.monotonic() - began > (len(samples) + 1) * between_s + LATE_S:
                break  # lost: the figures say so
            ended = sum(run.state is not None and run.state.is_final() for run in _runs())
            if ended > len(samples):
                samples.append(_sample(processes))
            time.sleep(0.5)
        return {**_memory(samples), **_fate(runs, between_s), "zombies": _zombies()}


def _memory(samples: list[dict[str, float]]) -> dict[str, Any]:
    """Say for each figure what it was, and by how much it changed from FROM_RUN on."""
    late = samples[FROM_RUN - 1 :]
    if not late:
        return {}
    return {
        name: {
            "mb_at_run": {
                number: round(one[name], 1)
                for number, one in enumerate(samples, 1)
                if number in {1, FROM_RUN} or number % 10 == 0
            },
            "most": round(max(one[name] for one in late) / late[0][name], 3),
            "least": round(min(one[name] for one in late) / late[0][name], 3),
        }
        for name in samples[0]
    }


def _fate(runs: int, between_s: int) -> dict[str, Any]:
    """Say how the runs of the schedule ended, and how many times of it have none."""
    found = sorted(_runs(), key=_due)[:runs]
    gaps = [
        round((_due(later) - _due(one)).total_seconds() / between_s) - 1
        for one, later in pairwise(found)
    ]
    return {
        "ended": dict(Counter(str(run.state_name) for run in found)),
        "never_made": sum(gaps),
        "started_twice": sum(run.run_count > 1 for run in found),
    }


def _due(run: FlowRun) -> Any:  # noqa: ANN401  # a date of Prefect's own
    return run.expected_start_time


def _runs() -> list[FlowRun]:
    """Return the runs of the schedule that are due."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState
    from prefect.client.schemas.sorting import FlowRunSort

    waits = FlowRunFilterState.model_validate({"name": {"not_any_": ["Scheduled"]}})
    with get_client(sync_client=True) as client:
        found: list[FlowRun] = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=waits),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=200,
        )
    return [run for run in found if run.auto_scheduled]


def _sample(processes: dict[str, psutil.Process]) -> dict[str, float]:
    """Return what each process holds in MB; of a server, with all that it started.

    ``rss`` counts what is shared with others fully, ``pss`` by its share, which changes with what
    those others do; ``uss`` leaves it out.
    """
    found: Counter[str] = Counter()
    for name, process in processes.items():
        tree = [process]
        if name != "worker":  # its runs are not it
            tree += process.children(recursive=True)
        for one in tree:
            memory = one.memory_full_info()
            for kind in KINDS:
                found[f"{name} {kind}"] += getattr(memory, kind) / 1e6
    return dict(found)


def _zombies() -> int:
    ours = psutil.Process().children(recursive=True)
    return sum(one.status() == psutil.STATUS_ZOMBIE for one in ours)


@contextmanager
def _served(folder: Path) -> Iterator[dict[str, psutil.Process]]:
    """Yield both servers and a worker, by name."""
    ports = [free_port(), free_port()]
    url = f"http://127.0.0.1:{ports[0]}/api"
    os.environ |= {
        "PREFECT_API_URL": url,
        "PREFECT_HOME": str(folder / "home"),
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports[1]}",
        "DO_NOT_TRACK": "1",
        "TMPDIR": str(folder),  # slots of its own: whatever else this host runs is not waited for
    }
    words = ["flows.cli", "ops", "serve", "--workspace", str(folder / "workspace")]
    words += ["--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1])]
    serving = _started(folder / "serve.log", words)
    worker = None
    try:
        wait_until_healthy(f"{url}/health", serving, folder / "serve.log")
        mlflow = f"http://127.0.0.1:{ports[1]}/health"
        wait_until_healthy(mlflow, serving, folder / "serve.log")
        pool = ["prefect", "worker", "start", "--pool", "gpu0", "--type", "process", "--limit", "1"]
        worker = _started(folder / "worker.log", pool)
        yield {**_servers(serving.pid), "worker": psutil.Process(worker.pid)}
    finally:
        for one in (worker, serving):
            if one is not None:
                one.terminate()
                one.wait(60)


def _servers(pid: int) -> dict[str, psutil.Process]:
    children = psutil.Process(pid).children()
    return {
        name: one for name in ("prefect", "mlflow") for one in children if name in one.cmdline()
    }


def _started(log: Path, words: list[str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as stream:
        return subprocess.Popen(  # our own interpreter and a fixed command
            [sys.executable, "-m", *words], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )


def _set_up(root: Path) -> None:
    from flows.cli.demo import make_slides
    from flows.config import load_config
    from flows.operations import Wish, bootstrap
    from storage.datasets.synthetic.settings import SyntheticSettings
    from storage.layout import Workspace

    make_slides(Workspace(root), "tiny-0", SyntheticSettings.tiny(0))
    config = load_config("tiny", OVERRIDES).model_dump(mode="json", exclude_unset=True)
    bootstrap(Wish(config, root))
    # The first run trains. The later ones find nothing new: all that is measured is the operation.
    words = ["prefect", "deployment", "run", DEPLOYMENT, "--watch", "--watch-timeout", str(FIRST_S)]
    subprocess.run([sys.executable, "-m", *words], check=True, stdout=sys.stderr)  # ours


def _scheduled(between_s: int) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.schedules import SCHEDULE_TYPES, IntervalSchedule

    every: SCHEDULE_TYPES = IntervalSchedule(interval=timedelta(seconds=between_s))
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
        client.create_deployment_schedules(deployment.id, [(every, True)])


def reached(found: dict[str, Any], runs: int) -> bool:
    """Tell whether memory stayed flat and no run was lost, doubled or left a zombie."""
    flat = all(
        one["most"] <= GROWTH and one["least"] >= 2 - GROWTH
        for name, one in found.items()
        if name.endswith("rss")
    )
    good = sum(found["ended"].get(name, 0) for name in ("Completed", "Nothing new"))
    return flat and good == runs and not found["zombies"] + found["never_made"]


if __name__ == "__main__":
    asked = [int(word) for word in sys.argv[1:]]
    n_runs, pause_s = (*asked, *(RUNS, BETWEEN_S)[len(asked) :])
    figures = measure(n_runs, pause_s)
    print(json.dumps({"runs": n_runs, "every_s": pause_s, **figures}, indent=1))
    sys.exit(0 if reached(figures, n_runs) else 1)
