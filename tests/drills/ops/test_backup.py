"""The drill of the backup: saved beside servers at work, all lost, put back, served again."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from flows.server import free_port
from storage.layout import Workspace
from tests.drills.ops.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.drills.ops.plant import Undisturbed
    from tests.drills.ops.postgres import Postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.xdist_group("operations_drills"),
]


@pytest.fixture
def restored_to(plant: Plant, postgres: Postgres) -> Iterator[Plant]:
    """Return a plant on empty databases, whose servers do not run yet."""
    ports = free_port(), free_port()
    addresses = {
        "PREFECT_API_URL": f"http://127.0.0.1:{ports[0]}/api",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports[1]}",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
            f"postgresql+asyncpg://{postgres.database('prefect_again')}"
        ),
        "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg2://{postgres.database('mlflow_again')}",
    }
    folder = plant.folder / "again"
    folder.mkdir()
    again = Plant(folder, ports, {**plant.settings, **addresses}, plant.fresh)
    try:
        yield again
    finally:
        for process in reversed(again.started):  # not `end`: it would end the other plant as well
            process.terminate()
            process.wait(60)


def test_what_was_lost_is_put_back_and_nothing_is_left_to_do(
    plant: Plant,
    undisturbed: Undisturbed,
    restored_to: Plant,
    measured: Callable[[str], None],
) -> None:
    at, saved = Workspace(plant.folder / "lost"), plant.folder / "saved"
    shutil.copytree(undisturbed.at.root, at.root, symlinks=True)
    words = ("--workspace", str(at.root))
    began = time.monotonic()
    plant.run("flows.cli", "ops", "backup", str(saved), *words)
    took = time.monotonic() - began
    assert "is not overwritten" in plant.refused("flows.cli", "ops", "restore", str(saved), *words)
    shutil.rmtree(at.root)
    # The databases of before are there still, with tables: they are not overwritten either.
    assert "tables, and is not" in plant.refused("flows.cli", "ops", "restore", str(saved), *words)
    assert not at.root.exists()
    began = time.monotonic()
    said = restored_to.run("flows.cli", "ops", "restore", str(saved), *words, "--json")
    measured(f"backup: saved in {took:.1f} s, restored in {time.monotonic() - began:.1f} s")
    assert json.loads(said)["databases"].keys() == {"prefect", "mlflow"}
    assert undisturbed.differs(at) == {}
    plant.run("flows.cli", "labels", "verify", "--all", *words)
    with plant.client as client:
        before = client.read_deployments()
    assert plant.ended(plant.ask(at)) == "Nothing new"
    restored_to.serve()
    with restored_to.client as client:
        after = client.read_deployments()
        ended = client.read_flow_runs(limit=50)
    assert {one.id for one in after} == {one.id for one in before}
    assert "Completed" in {one.state_name for one in ended}
    assert restored_to.run("flows.cli", "track", "deliver", *words)


def test_a_backup_that_is_damaged_puts_nothing_back(plant: Plant, undisturbed: Undisturbed) -> None:
    saved, there = plant.folder / "harmed", plant.folder / "not-there"
    words = ("--workspace", str(undisturbed.at.root), "--without-databases")
    plant.run("flows.cli", "ops", "backup", str(saved), *words)
    (weights, *_) = sorted((saved / "workspace" / "checkpoints").glob("*/weights.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    words = ("--workspace", str(there), "--without-databases")
    assert "missing or altered" in plant.refused("flows.cli", "ops", "restore", str(saved), *words)
    assert not there.exists()
