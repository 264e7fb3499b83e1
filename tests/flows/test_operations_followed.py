"""Who follows docs/operations.md from its first command to its last gets what it says."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from flows.server import free_port
from tests.drills.ops.postgres import Postgres, binaries
from tests.flows.operations_page import NOT_RUN, PAGE, blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = PAGE.parents[1]
MARK = "SIGNETFLOW_OPERATOR"
"""In the environment of every process that a test starts, and of all that those start."""
BLOCK_S = 400
READY_S = 180
FIRES_S = 120


class Operator:
    """Types blocks into one shell after the other, on paths and ports of this machine."""

    def __init__(self, folder: Path, postgres_port: int) -> None:
        self.folder = folder
        self.known = folder / "shell.sh"
        self.known.touch()
        self.ports = {"prefect": free_port(), "mlflow": free_port()}
        self.stays: list[subprocess.Popen[bytes]] = []
        self.told = self._told(postgres_port)

    @property
    def workspace(self) -> Path:
        return self.folder / "srv"

    def _told(self, postgres_port: int) -> dict[str, str]:
        """Return the environment of a shell that has yet to be told anything of ours."""
        ours = ("PREFECT_", "MLFLOW_", "SIGNETFLOW_", "COV_", "COVERAGE_", "PYTHONUNBUFFERED")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
            MARK: str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "PREFECT_HOME": str(self.folder / "home"),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.ports['prefect']}/api",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self.ports['mlflow']}",
            "SIGNETFLOW_WORKSPACE": str(self.workspace),
            "SIGNETFLOW_ENV": str(self.folder / "etc" / "signetflow.env"),
            "OMP_NUM_THREADS": "1",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(postgres_port),
        }

    def here(self, text: str) -> str:
        """Return a block as it reads on this machine."""
        places = {
            "/opt/signetflow": self.folder / "opt",
            "/srv/signetflow": self.workspace,
            "/etc/signetflow": self.folder / "etc",
            "/backup": self.folder / "backup",
        }
        for said, real in places.items():
            text = text.replace(said, str(real))
        if os.geteuid():  # the test's PostgreSQL is this user's
            text = text.replace("runuser -u postgres --", "env POSTGRES_USER=postgres")
        if "serve.sh" in text:
            ports = (f"--{name}-port {port}" for name, port in self.ports.items())
            text = f"{text.rstrip()} {' '.join(ports)}\n"
        return text

    def types(self, text: str, *, any_exit: bool = False) -> str:
        """Run a block in the shell that stays open; return what it printed."""
        script = f". {self.known}\nset -e\n{self.here(text)}\nexport -p > {self.known}\n"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.told, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=BLOCK_S, check=False,
        )  # fmt: skip
        assert any_exit or done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout

    def keeps(self, text: str) -> None:
        """Run a block in a terminal of its own."""
        log = self.folder / f"terminal{len(self.stays)}.log"
        with log.open("wb") as stream:
            started = subprocess.Popen(
                ["bash", "-c", f". {self.known}\nexec {self.here(text)}"], cwd=self.folder,
                env=self.told, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                start_new_session=True,
            )  # fmt: skip
        self.stays.append(started)
        if "serve.sh" in text:
            until(lambda: self._is_served(started, log), "both servers", READY_S)

    def _is_served(self, started: subprocess.Popen[bytes], log: Path) -> bool:
        assert started.poll() is None, log.read_text()
        return "Prefect and MLflow run" in log.read_text()

    def sets(self, **values: str) -> None:
        """Remember a name that the page has its reader fill in."""
        with self.known.open("a") as stream:
            stream.writelines(f"export {k}={shlex.quote(v)}\n" for k, v in values.items())

    def leaves(self) -> None:
        """End what stays, the last first, and whatever that left."""
        for one in reversed(self.stays):
            one.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                one.wait(40)
        for process in marked(self.folder):
            with suppress(psutil.Error):
                process.kill()
        for one in self.stays:
            one.wait(40)


def until(true: Callable[[], object], what: str, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.5)


def marked(folder: Path) -> list[psutil.Process]:
    return [one for one in psutil.process_iter() if _mark(one) == str(folder)]


def _mark(process: psutil.Process) -> str:
    try:
        alive = process.status() != psutil.STATUS_ZOMBIE
        return process.environ().get(MARK, "") if alive else ""
    except psutil.Error:
        return ""


@pytest.fixture(scope="module")
def operator() -> Iterator[Operator]:
    if binaries() is None:
        pytest.skip("no PostgreSQL server (initdb) on this machine")
    # Not below pytest's own folder, which the user postgres may not pass.
    folder = Path(tempfile.mkdtemp(prefix="signetflow-operator-")).resolve()
    folder.chmod(0o755)
    (folder / "tmp").mkdir()
    installed(folder / "opt")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    postgres = Postgres(folder / "postgres", kept)
    try:
        postgres.make()
        made = Operator(folder, postgres.port)
        yield made
        made.leaves()
        assert marked(folder) == []
    finally:
        postgres.stop()
        shutil.rmtree(folder)


def installed(folder: Path) -> None:
    """Stand in for what cannot be run here: the checkout with its packages."""
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in {".venv", ".git"}:
            (folder / path.name).symlink_to(path)
    (folder / ".venv").symlink_to(sys.prefix)


def draw_slides(workspace: Path) -> None:
    """Stand in for the demo that proves the installation: its slides without its training."""
    from flows.cli.demo import make_slides
    from storage.datasets.synthetic.settings import SyntheticSettings
    from storage.layout import Workspace

    make_slides(Workspace(workspace), "tiny-0", SyntheticSettings.tiny(0))


def fill_in(operator: Operator) -> None:
    """Fill in the env file what its reader would."""
    path = operator.folder / "etc" / "signetflow.env"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(operator.here(path.read_text()))


def learn(operator: Operator) -> None:
    """Give names to what the first run made, as its reader would from status, log and list."""
    from storage.champion import stand
    from storage.layout import Kind, Ref, Workspace

    versions = json.loads(operator.types("signetflow labels log --json"))["versions"]
    after = next(one for one in reversed(versions) if one["round"] == 1)
    folders = sorted((operator.workspace / "checkpoints").glob("[0-9a-f]*"))
    at = Workspace(operator.workspace)
    for folder in folders[:2]:
        stand(at, "champion", Ref(Kind.CHECKPOINT, folder.name), by="test", reason="to roll back")
    operator.sets(
        FLOW_RUN=failed(operator),
        BEFORE=after["parent"],
        AFTER=after["digest"],
        CHECKPOINT=folders[-1].name[:12],
    )


def failed(operator: Operator) -> str:
    """Let a run fail and return its id: it is to go on with one that is not there."""
    asked = "prefect deployment run resume/by-hand --param run=ffff --watch --watch-timeout 180"
    operator.types(asked, any_exit=True)
    newest = runs(operator)[0]
    assert newest["state_type"] == "FAILED"
    return str(newest["id"])


def runs(operator: Operator) -> list[dict[str, Any]]:
    """Return what ran, the latest first."""
    asked = {"sort": "START_TIME_DESC", "flow_runs": {"start_time": {"is_null_": False}}}
    request = urllib.request.Request(  # noqa: S310  # http, ours
        f"{operator.told['PREFECT_API_URL']}/flow_runs/filter",
        data=json.dumps(asked).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        found: list[dict[str, Any]] = json.load(answer)
    return found


def follow(operator: Operator) -> None:
    for block in blocks(PAGE.read_text()):
        if block.mark.startswith(NOT_RUN):
            continue
        if block.mark == "run: stays":
            operator.keeps(block.text)
            continue
        operator.types(block.text, any_exit=block.mark == "run: any exit")
        if "new-env.sh" in block.text:
            fill_in(operator)
        if "--watch" in block.text and "retrain/weekly" in block.text:
            learn(operator)


@pytest.fixture(scope="module")
def followed(operator: Operator) -> Operator:
    draw_slides(operator.workspace)
    follow(operator)
    return operator


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.xdist_group("operations")
def test_the_page_can_be_followed_from_its_first_command_to_its_last(followed):
    ended = {run["name"]: run["state_name"] for run in runs(followed)}
    assert ended["tiny"] == "Completed"
    assert ended["resume-last"] == "Nothing new"
    (backup,) = (followed.folder / "backup").glob("*/BACKUP.json")
    assert json.loads(backup.read_text())["databases"]
    retried = next(run for run in runs(followed) if run["name"] == "resume-ffff")
    assert retried["run_count"] == 2
    said = followed.types("prefect deployment schedule ls retrain/weekly -o json")
    assert "true" in said.lower()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.xdist_group("operations")
def test_a_schedule_of_the_weekly_retraining_fires(followed):
    followed.types("prefect deployment schedule create retrain/weekly --interval 30")
    until(lambda: fired(followed), "a run of the schedule", FIRES_S)


def fired(operator: Operator) -> bool:
    ended = [run for run in runs(operator) if run["auto_scheduled"] and run["end_time"]]
    return bool(ended) and all(run["state_type"] == "COMPLETED" for run in ended)
