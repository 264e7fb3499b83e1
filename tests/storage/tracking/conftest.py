"""One migrated store, shared by all tests here; each test tells of a run of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch
from mlflow import MlflowClient

from flows.server import free_port
from storage.checkpoints import save_checkpoint
from storage.layout import Ref, Workspace
from storage.ledger import Event, Ledger
from storage.tracking.address import problem_reaching
from storage.tracking.outbox import QUIET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mlflow.entities import Run

STARTED_MS = 1_700_000_000_000
STARTED = STARTED_MS / 1000


@dataclass(frozen=True, slots=True)
class Story:
    """The events of one run."""

    at: Workspace
    run_id: str

    def post(self, *events: Event) -> None:
        for event in events:
            Ledger(self.at).post(event)

    def announced(self, **changes: Any) -> Event:
        body = {
            "type": "run",
            "run_id": self.run_id,
            "name": "demo",
            "config": {"training": {"epochs": 2, "crops": [64, 96]}, "mode": "hard"},
            "started": STARTED,
            "dataset": {"name": "synthetic", "digest": "d" * 32, "n_regions": 4},
            "tags": {"seed": 0, "git": None},
        }
        return Event(f"run/{self.run_id}", body | changes)

    def round(self, slug: str = "self-1", **changes: Any) -> Event:
        label = {"name": "labels", "n_cells": 9, "n_human": 5}
        body = {
            "type": "round",
            "run_id": self.run_id,
            "slug": slug,
            "name": slug.replace("-", " "),
            "started": STARTED + 100,
            "seconds": 50.0,
            "tags": {"arm": "self", "model": "unet", "labels.in": "a" * 32, "labels.parent": None},
            "params": {"learning_rate": 0.001},
            "history": [
                {"step": 10, "epoch": 0, "loss": 0.9, "validation_froc": None},
                {"step": 20, "epoch": 1, "loss": 0.5, "validation_froc": 0.4},
            ],
            "metrics": {"growth": 0.25, "loss": 0.7, "unknown": None},
            "labels": [
                label | {"digest": "a" * 32, "context": "training"},
                label | {"digest": "b" * 32, "context": "produced"},
            ],
            "checkpoint": None,
        }
        return Event(f"round/{self.run_id}/{slug}", body | changes)

    def end(self, *, froc: float = 0.61, **changes: Any) -> Event:
        row = {"mode": "hard", "seed": 0, "arm": "self", "model": "unet", "truth": "complete"}
        rounds = {"name": "self 1", "labels_in": "a" * 32, "labels_out": "b" * 32}
        body = {
            "type": "end",
            "run_id": self.run_id,
            "state": "completed",
            "finished": STARTED + 900,
            "message": "",
            "report": None,
            "rows": [row | {"fold": fold, "froc": froc + fold / 10} for fold in (0, 1)],
            "rounds": [rounds | {"cells": 9, "growth": 0.25, "froc": 0.6}],
        }
        return Event(f"end/{self.run_id}", body | changes)

    def whole(self, checkpoint: Ref) -> tuple[Event, ...]:
        return self.announced(), self.round(checkpoint=str(checkpoint)), self.end()

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.at.mlflow_uri)

    @property
    def parent(self) -> Run:
        experiment = self.client.get_experiment_by_name("signetflow/demo")
        assert experiment is not None
        (run,) = self.client.search_runs(
            [experiment.experiment_id], f"tags.`signetflow.run_id` = '{self.run_id}'"
        )
        return run

    @property
    def nested(self) -> list[Run]:
        parent = self.parent.info
        query = f"tags.`mlflow.parentRunId` = '{parent.run_id}'"
        return list(
            self.client.search_runs([parent.experiment_id], query, order_by=["start_time ASC"])
        )

    def curve(self, run: Run, name: str) -> list[tuple[int, float, int]]:
        """Return step, value and milliseconds since the start of the run's announcement."""
        history = self.client.get_metric_history(run.info.run_id, name)
        return [(point.step, point.value, point.timestamp - STARTED_MS) for point in history]

    def picture(self) -> list[dict[str, Any]]:
        """Return all that can be seen of the run, without names and ids drawn by lot."""
        return [self._picture(run) for run in [self.parent, *self.nested]]

    def _picture(self, run: Run) -> dict[str, Any]:
        assert run.inputs
        assert run.outputs
        models = self.client.search_logged_models(
            [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"
        )
        return {
            "state": (run.info.status, run.info.start_time, run.info.end_time),
            "params": run.data.params,
            "tags": sorted(set(run.data.tags)),
            "curves": {name: self.curve(run, name) for name in run.data.metrics},
            "inputs": [entry.dataset.digest for entry in run.inputs.dataset_inputs],
            "outputs": len(run.outputs.model_outputs),
            "models": [
                (
                    model.name,
                    str(model.status),
                    [(m.key, m.value, m.step) for m in model.metrics or []],
                )
                for model in models
            ],
            "files": sorted(file.path for file in self.client.list_artifacts(run.info.run_id)),
        }


@pytest.fixture(scope="session", autouse=True)
def _environment() -> Iterator[None]:
    """A developer's own server must not get the tests' runs; what `deliver` sets is undone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name, value in QUIET.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def at(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return the workspace with the shared store; the space in its name is on purpose."""
    return Workspace(tmp_path_factory.mktemp("tracking") / "work space")


@pytest.fixture
def story(at: Workspace, request: pytest.FixtureRequest) -> Story:
    """Return the events of a run that is this test's own, and an empty outbox for them."""
    shutil.rmtree(at.ledger, ignore_errors=True)
    run_id = request.node.name.removeprefix("test_").replace("[", "-").replace("]", "")
    return Story(at, run_id)


@pytest.fixture(scope="session")
def checkpoint(at: Workspace) -> Ref:
    return save_checkpoint(at, {"weight": torch.arange(4.0)}, {"family": "tiny"})


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Return a port of loopback that is ours and on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[str]:
    """Run an MLflow server, and kill it and its children as hard as a power cut would."""
    port = port or free_port()
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "files"), "--serve-artifacts"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, cwd=folder
        )
        try:
            give_up = time.monotonic() + 200
            while problem_reaching(uri):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < give_up, (folder / "log").read_text()
                time.sleep(0.2)
            yield uri
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def mlflow_server() -> Callable[..., AbstractContextManager[str]]:
    """Return what runs a real MLflow server on loopback."""
    return serving
