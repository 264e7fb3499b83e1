"""``track rebuild``: a server that lost everything is told all of it again, and nothing twice."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from storage.layout import Workspace
from storage.ledger import Ledger


@pytest.fixture
def emptied(demo, tmp_path):
    """Return a finished workspace whose MLflow store was taken away, and what it had shown."""
    at = Workspace(tmp_path / "workspace")
    shutil.copytree(demo.at.root, at.root, symlinks=True)
    before = shown(at)
    for path in at.root.glob("mlflow.db*"):
        path.unlink()
    shutil.rmtree(at.root / "mlartifacts")
    return at, before


def shown(at):
    """Return the runs that MLflow shows, with how they stand and how much they have."""
    with closing(sqlite3.connect(at.root / "mlflow.db")) as connection:
        return connection.execute(
            "SELECT name, status, start_time, end_time, "
            "(SELECT COUNT(*) FROM metrics WHERE run_uuid = r.run_uuid), "
            "(SELECT COUNT(*) FROM params WHERE run_uuid = r.run_uuid), "
            "(SELECT COUNT(*) FROM inputs WHERE destination_id = r.run_uuid) "
            "FROM runs AS r WHERE lifecycle_stage = 'active' ORDER BY name, start_time"
        ).fetchall()


@pytest.mark.slow
def test_an_emptied_store_shows_after_a_rebuild_what_it_showed_and_again_after_another(
    emptied, signetflow
):
    at, before = emptied
    n_events = len(Ledger(at).pending_events(every=True))
    assert {status for _, status, *_ in before} == {"FINISHED"}
    for _ in range(2):
        done = signetflow("track", "rebuild", "--workspace", at.root, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"delivered": n_events, "waiting": 0}
        assert shown(at) == before
