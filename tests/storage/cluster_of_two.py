"""A real Dask scheduler with two workers, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_S = 90


@dataclass
class ClusterOfTwo:
    """Where it is, and its processes."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)


@contextmanager
def cluster_of_two(folder, n_workers=2):
    """Yield a running cluster; afterwards all of its processes are gone."""
    said = folder / "scheduler.json"
    scheduler = _started(folder, "scheduler", "--host", "127.0.0.1", "--port", "0",
                         "--scheduler-file", str(said), "--no-dashboard",
                         "--idle-timeout", "300")  # fmt: skip
    workers = []
    try:
        _wait_for(said.exists, scheduler)
        workers = [
            _started(folder, "worker", "--scheduler-file", str(said), "--host", "127.0.0.1",
                     "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", f"w{number}",
                     "--local-directory", str(folder / f"w{number}"), "--death-timeout", "20")
            for number in range(n_workers)
        ]  # fmt: skip
        address = _address(said)
        _wait_for(lambda: _n_workers(address) == n_workers, scheduler)
        yield ClusterOfTwo(address, scheduler, workers)
    finally:
        for process in (*workers, scheduler):
            with suppress(ProcessLookupError):  # a test may have killed it, and waited
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _started(folder, what, *words):
    with (folder / f"{what}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", what, *words],
            cwd=ROOT, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip


def _address(said):
    import json

    return json.loads(said.read_text())["address"]


def _n_workers(address):
    from distributed import Client

    with Client(address, timeout=START_S, set_as_default=False) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


def _wait_for(happened, process):
    deadline = time.monotonic() + START_S
    while not happened():
        assert process.poll() is None, "the scheduler ended"
        assert time.monotonic() < deadline, "the cluster did not start"
        time.sleep(0.1)
