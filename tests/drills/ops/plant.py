"""What a drill stands on: servers, a worker, workspaces, and how to look at them from outside."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType

from storage.artefacts import MANIFEST, manifest_of
from storage.checkpoints import WEIGHTS
from storage.layout import Kind, Workspace
from storage.ledger import Ledger, StageRecord
from storage.locks import holders
from tests.drills.place import PRESET as SMALLEST
from tests.drills.place import environment as quiet_environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun

ROOT = Path(__file__).resolve().parents[3]
MARK = "SIGNETFLOW_DRILL"
"""In the environment of every process that a drill starts, and of all that those start."""
READY = "Prefect and MLflow run"
"""What `ops serve` says when both answer."""
PATIENCE_S = 300
POLL_S = 0.2
PRESET: dict[str, Any] = SMALLEST | {
    "training": SMALLEST["training"] | {"epochs": 4, "steps_per_epoch": 40},
    "self_training": SMALLEST["self_training"] | {"epochs": 4},
    "evaluation": {"bootstrap": 200},
}
"""The smallest retraining in rounds: ten stages, in about ten seconds."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return what every process of a drill is told; nothing of the user's servers."""
    ours = {
        MARK: str(folder), "TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT),
        "PREFECT_HOME": str(folder / "home"), "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip
    return quiet_environment() | ours | more


def until(true: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> float:
    """Wait until something is true and return the seconds that this took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within_s, f"not within {within_s:.0f} s: {what}"
        time.sleep(POLL_S)
    return time.monotonic() - began


def marked(folder: Path) -> list[psutil.Process]:
    """Return every living process that was started for a folder, by whomever."""
    return [one for one in psutil.process_iter() if _marked_with(one) == str(folder)]


def _marked_with(process: psutil.Process) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return process.environ().get(MARK, "")
    except psutil.Error:
        return ""


@dataclass
class Plant:
    """Prefect and MLflow on PostgreSQL, and a worker of the pool gpu0."""

    folder: Path
    ports: tuple[int, int]
    """Of Prefect and of MLflow."""
    settings: dict[str, str]
    fresh: Workspace
    """A workspace before its first run, to copy."""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    worker: subprocess.Popen[bytes] | None = None

    served: subprocess.Popen[bytes] | None = None

    @property
    def api(self) -> str:
        """Return the address of Prefect's API."""
        return f"http://127.0.0.1:{self.ports[0]}/api"

    @property
    def mlflow(self) -> str:
        """Return the address of MLflow."""
        return f"http://127.0.0.1:{self.ports[1]}"

    @property
    def client(self) -> SyncPrefectClient:
        """Return a client; use it in a with statement."""
        return SyncPrefectClient(self.api)

    def start(self, log: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a command of ours, or of the packages, as the leader of a session."""
        with (self.folder / f"{log}.log").open("ab") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=self.folder, env=self.settings,
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, *words: str) -> str:
        """Run a command to its end, which must be good, and return what it wrote."""
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=self.folder, env=self.settings,
            capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *words: str) -> str:
        """Run a command that must not end well, and return what it said."""
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=self.folder, env=self.settings,
            capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def log(self, name: str) -> str:
        """Return what a command has said."""
        return (self.folder / f"{name}.log").read_text()

    def serve(self) -> None:
        """Start both servers and wait until they answer."""
        ports = ("--prefect-port", str(self.ports[0]), "--mlflow-port", str(self.ports[1]))
        words = ("--workspace", str(self.folder / "servers"), *ports)
        served = self.served = self.start("serve", "flows.cli", "ops", "serve", *words)
        before = self.log("serve").count(READY)

        def are_ready() -> bool:
            assert served.poll() is None, self.log("serve")
            return self.log("serve").count(READY) > before

        until(are_ready, "both servers")

    def work(self) -> subprocess.Popen[bytes]:
        """Start the worker, unless it is there."""
        if self.worker is None or self.worker.poll() is not None:
            words = ("worker", "start", "--pool", "gpu0", "--limit", "1")
            self.worker = self.start("worker", "prefect", *words)
        return self.worker

    def workspace(self, name: str, root: Path | None = None) -> Workspace:
        """Return a workspace of its own, with the dataset and nothing made."""
        at = Workspace((root or self.folder) / name)
        shutil.copytree(self.fresh.root, at.root, symlinks=True)
        return at

    def ask(self, at: Workspace, **parameters: Any) -> UUID:
        """Ask for a weekly retraining of a workspace now."""
        with self.client as client:
            weekly = client.read_deployment_by_name("retrain/weekly")
            run = client.create_flow_run_from_deployment(
                weekly.id, parameters={"workspace": str(at.root), **parameters}
            )
        return run.id

    def flow_run(self, run: UUID) -> FlowRun:
        """Return a run as Prefect knows it."""
        with self.client as client:
            return client.read_flow_run(run)

    def state(self, run: UUID) -> str:
        """Return the name of the state that Prefect believes a run to be in."""
        state = self.flow_run(run).state
        return (state.name or "") if state else ""

    def is_over(self, run: UUID) -> bool:
        """Tell whether Prefect expects nothing more of a run."""
        state = self.flow_run(run).state
        return state is not None and state.is_final()

    def ended(self, run: UUID, within_s: float = PATIENCE_S) -> str:
        """Wait for the end of a run and return how it ended."""
        until(lambda: self.is_over(run), f"the end of run {run}", within_s)
        return self.state(run)

    def retry(self, run: UUID, within_s: float = PATIENCE_S) -> float:
        """Have a run begin again, and return the seconds until it is completed."""
        # A worker that is given a run again before it has let go of it ends by an error of its own.
        until(lambda: len(self.runners()) == 1, "the end of the run's processes")
        self.run("prefect", "flow-run", "retry", str(run))
        return until(lambda: self.state(run) == "Completed", "the end of the retry", within_s)

    def slot_is_free(self) -> bool:
        """Tell whether the pool and the GPU have room for a run."""
        with self.client as client:
            holds = {StateType.RUNNING, StateType.PENDING, StateType.CANCELLING}
            runs = client.read_flow_runs(limit=50)
        held = [one for one in runs if one.state and one.state.type in holds]
        return not held and not self.in_slot()

    def in_slot(self) -> tuple[int, ...]:
        """Return the processes that hold the GPU."""
        lock = self.folder / "tmp" / f"signetflow-slots-{os.getuid()}" / "gpu0.lock"
        return holders(lock)

    def runners(self) -> list[psutil.Process]:
        """Return the worker with all that it started."""
        assert self.worker is not None
        worker = psutil.Process(self.worker.pid)
        return [worker, *worker.children(recursive=True)]

    def kill(self, processes: list[psutil.Process]) -> None:
        """Kill processes as a power cut does, and wait until they are gone."""
        for one in processes:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
        for process in self.started:
            if process.pid in {one.pid for one in processes}:
                process.wait(10)
        _, alive = psutil.wait_procs(processes, timeout=10)
        assert alive == []

    def end(self) -> None:
        """End what is still there, the polite way first."""
        for process in reversed(self.started):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self.started):
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
        for one in marked(self.folder):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        for process in self.started:
            process.wait(10)


def under_way(at: Workspace) -> set[str]:
    """Return the keys of the stages that a run says it is in; a killed one says so for ever."""
    ledger = Ledger(at)
    stages = (stage for run in ledger.runs() for stage in ledger.stages_of(run.run_id))
    return {stage.key for stage in stages if stage.state == "running"}


def made(at: Workspace) -> list[StageRecord]:
    """Return the finished stages, in the order in which they began."""
    ledger = Ledger(at)
    keys = {stage.key for run in ledger.runs() for stage in ledger.stages_of(run.run_id)}
    found = [record for record in map(ledger.recorded, keys) if record]
    return sorted(found, key=lambda record: record.started)


def ends(at: Workspace) -> dict[str, str]:
    """Return everything that must be equal to that of a run that nobody disturbed, by its name."""
    found = {
        f"label version {path.parent.name}": "is there"
        for path in (at.root / Kind.LABELS).glob(f"[0-9a-f]*/{MANIFEST}")
    }
    for one in made(at):
        if one.ref.kind is Kind.REPORT:  # its pages say when they were made
            table = at.path(one.ref) / "table.json"
            found["table"] = hashlib.sha256(table.read_bytes()).hexdigest()
            continue
        found[f"{one.name} {one.key}"] = str(one.ref)
        if one.ref.kind is Kind.CHECKPOINT:
            weights = manifest_of(at, one.ref)["files"][WEIGHTS]["sha256"]
            found[f"weights {one.key}"] = weights
    return found


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing happened to."""

    at: Workspace
    seconds: float

    @property
    def last_training(self) -> str:
        """Return the key of the training on labels that a round made; every workspace has it."""
        return [one.key for one in made(self.at) if one.name == "train"][-1]

    def differs(self, at: Workspace) -> dict[str, Any]:
        """Return what is not the same in another workspace, by its name."""
        found, expected = ends(at), ends(self.at)
        pairs = {name: (found.get(name), expected.get(name)) for name in {*found, *expected}}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
