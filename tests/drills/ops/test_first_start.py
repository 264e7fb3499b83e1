"""The first start of Prefect on a fresh home: three who start at once must not break each other."""

import subprocess
import sys
import urllib.request

import pytest

from flows.server import free_port
from storage.locks import holders
from tests.drills.ops.plant import PATIENCE_S, READY, environment, marked, until

pytestmark = pytest.mark.xdist_group("operations_drills")
EMBEDDED = """
import sys
from pathlib import Path
from flows.server import prefect_server
from storage.layout import Workspace
with prefect_server(Workspace(Path(sys.argv[1]))) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def starters(drill_folder, tmp_path):
    """Return three that start on one fresh home: two commands of the command line, ops serve."""
    folder = drill_folder / tmp_path.name
    folder.mkdir()
    (folder / "tmp").mkdir()
    ports = free_port(), free_port()
    serve = ["--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1])]
    commands = [
        ["-c", EMBEDDED, str(folder)],
        ["-m", "flows.cli", "ops", "serve", "--workspace", str(folder), *serve],
        ["-c", EMBEDDED, str(folder)],
    ]
    started = [start(folder, number, command) for number, command in enumerate(commands)]
    yield folder, started, ports[0]
    started[1].terminate()
    for process in started:
        process.communicate()  # the end of their input ends the others
    until(lambda: not marked(folder), "the end of every server", 40)


def start(folder, number, command):
    with (folder / f"said{number}").open("w") as said, (folder / f"error{number}").open("w") as bad:
        return subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environment(folder), text=True,
            stdin=subprocess.PIPE, stdout=said, stderr=bad, start_new_session=True,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.server
def test_three_that_start_on_a_fresh_home_migrate_it_one_after_the_other(starters, measured):
    folder, started, port = starters
    lock = folder / "prefect" / "start.lock"
    most = []

    def are_up():
        most.append(len(holders(lock)) if lock.exists() else 0)
        said = [(folder / f"said{number}").read_text() for number in range(3)]
        errors = [(folder / f"error{number}").read_text() for number in range(3)]
        assert [process.poll() for process in started] == [None] * 3, errors
        return "http://" in said[0] and READY in said[1] and "http://" in said[2]

    up = until(are_up, "three servers", PATIENCE_S)
    assert max(most) == 1
    urls = [(folder / f"said{number}").read_text().split()[0] for number in (0, 2)]
    for url in [*urls, f"http://127.0.0.1:{port}/api"]:
        for path in ("health", "admin/version"):
            with urllib.request.urlopen(f"{url}/{path}", timeout=20) as answer:  # noqa: S310
                assert answer.status == 200
    measured(f"three starters on a fresh home: all up after {up:.1f} s, one at a time")
