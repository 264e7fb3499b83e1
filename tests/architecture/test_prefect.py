"""The pinned Prefect really runs a flow, and finds ours; importing it alone would show neither.

In processes of their own: Prefect reads its settings once, when it is imported.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.xdist_group("prefect"), pytest.mark.server]

ONE_FLOW = """
import sys
from pathlib import Path
from flows.server import prefect_server
from storage.layout import Workspace

with prefect_server(Workspace(Path(sys.argv[1]))) as url:
    from prefect import flow, task

    @task
    def double(number: int) -> int:
        return 2 * number

    @flow(name="one flow")
    def both(number: int) -> int:
        return double(number) + 1

    print(url, both(20))
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from flows.server import prefect_server
from storage.layout import Workspace

with prefect_server(Workspace(Path(sys.argv[1]))):
    os.kill(os.getpid(), signal.SIGKILL)
"""
ENTRYPOINT = """
from prefect.flows import load_flow_from_entrypoint
flow = load_flow_from_entrypoint("flows.retrain:retrain", use_placeholder_flow=False)
print(flow.name, *flow.parameters.properties)
"""


def python(code, home, *words):
    unset = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=ROOT, env={**unset, **quiet, "PREFECT_HOME": str(home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def still_there(folder):
    """Return the processes that know a folder, after they had a moment to go."""
    deadline = time.monotonic() + 5
    while found := [one for one in psutil.process_iter() if _knows(one, str(folder))]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return found


def _knows(process, folder):
    try:
        return process.environ().get("PREFECT_HOME", "").startswith(folder)
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def test_a_real_flow_runs_on_the_embedded_server_and_nothing_stays(tmp_path):
    done = python(ONE_FLOW, tmp_path / "other", str(tmp_path / "workspace"))
    assert done.returncode == 0, done.stderr
    url, result = done.stdout.split()[-2:]
    assert url.startswith("http://127.0.0.1:")
    assert result == "41"
    assert still_there(tmp_path) == []


def test_a_killed_command_takes_its_server_with_it(tmp_path):
    done = python(KILLED, tmp_path / "other", str(tmp_path / "workspace"))
    assert done.returncode == -9, done.stderr
    assert still_there(tmp_path) == []


def test_a_worker_finds_the_flow_by_its_entrypoint(tmp_path):
    # Without use_placeholder_flow=False Prefect hides import errors behind a stub.
    done = python(ENTRYPOINT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["retrain", "config", "workspace", "if_busy"]
