"""Prefect and MLflow on PostgreSQL, a worker, and a run that nothing happens to: for all drills."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from flows.server import free_port
from storage.layout import Workspace
from tests.drills.ops.plant import PRESET, Plant, Undisturbed, environment, marked, until
from tests.drills.ops.postgres import NOBODY_ELSE, Postgres, binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEASURED = "operations drill"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the drills have measured, wherever they ran."""
    reports = (one for some in terminalreporter.stats.values() for one in some)
    for report in reports:
        for name, text in getattr(report, "user_properties", ()):
            if name == MEASURED and getattr(report, "when", "") == "call":
                terminalreporter.write_line(f"{MEASURED}: {text}")


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that keeps a line for the end of the tests."""
    return lambda text: record_property(MEASURED, text)


@pytest.fixture(scope="session")
def drill_folder() -> Iterator[Path]:
    """Return a folder that the user postgres can pass; nothing that was started in it may stay."""
    folder = Path(tempfile.mkdtemp(prefix="signetflow-drill-")).resolve()
    folder.chmod(NOBODY_ELSE)
    (folder / "tmp").mkdir()
    yield folder
    left = marked(folder)
    for process in left:
        process.kill()
    shutil.rmtree(folder)
    assert left == []


@pytest.fixture(scope="session")
def postgres(drill_folder: Path) -> Iterator[Postgres]:
    """Return a cluster."""
    if binaries() is None:
        pytest.skip("no PostgreSQL server (initdb) on this machine")
    cluster = Postgres(drill_folder / "postgres", environment(drill_folder))
    cluster.make()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def fresh(drill_folder: Path) -> Workspace:
    """Return a workspace with a dataset, to copy."""
    from storage.datasets.catalogue import register
    from storage.datasets.synthetic.reader import SyntheticReader
    from storage.datasets.synthetic.settings import SyntheticSettings
    from storage.datasets.synthetic.slides import make_dataset

    at = Workspace(drill_folder / "fresh")
    slides = drill_folder / "slides"
    settings = SyntheticSettings(
        seed=0, organs=6, positive_slides=1, negative_slides=1, negative_windows=1, window_px=256
    )
    make_dataset(slides, settings)
    register(at, SyntheticReader(slides).items(), name="drill", group_by=("organ", "slide"))
    return at


@pytest.fixture(scope="session")
def plant(drill_folder: Path, postgres: Postgres, fresh: Workspace) -> Iterator[Plant]:
    """Return servers that are set up as docs/operations.md says, with a worker."""
    ports = free_port(), free_port()
    settings = environment(
        drill_folder,
        PREFECT_API_URL=f"http://127.0.0.1:{ports[0]}/api",
        MLFLOW_TRACKING_URI=f"http://127.0.0.1:{ports[1]}",
        PREFECT_SERVER_DATABASE_CONNECTION_URL=f"postgresql+asyncpg://{postgres.database('prefect')}",
        MLFLOW_BACKEND_STORE_URI=f"postgresql+psycopg2://{postgres.database('mlflow')}",
        # How soon the one looks for work and the other for schedules: nothing is measured of it.
        PREFECT_WORKER_QUERY_SECONDS="2",
        PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="5",
    )
    preset = drill_folder / "drill.yaml"
    preset.write_text(yaml.safe_dump(PRESET))
    made = Plant(drill_folder, ports, settings, fresh)
    try:
        made.serve()
        words = ("--preset", str(preset), "--workspace", str(fresh.root), "--gpus", "1")
        made.run("flows.cli", "ops", "bootstrap", *words)
        made.work()
        yield made
    finally:
        made.end()
    assert not [port for port in ports if _is_listened_at(port)]


def _is_listened_at(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def undisturbed(plant: Plant) -> Undisturbed:
    """Return a run that nothing happened to, by the same deployment and worker."""
    at = plant.workspace("undisturbed")
    began = time.monotonic()
    run = plant.ask(at)
    assert plant.ended(run) == "Completed", plant.log("worker")
    return Undisturbed(at, time.monotonic() - began)


@pytest.fixture
def place(plant: Plant, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """Return a workspace of the drill's own; afterwards the worker is there and has nothing."""
    yield plant.workspace(tmp_path.name)
    plant.work()
    until(plant.slot_is_free, "a free slot after the drill")
