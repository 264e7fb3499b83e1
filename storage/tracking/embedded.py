"""The tracking store inside the workspace: a database and a folder that move together."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from mlflow import MlflowClient

if TYPE_CHECKING:
    from storage.layout import Workspace

FRESH = ".mlflow.db-new"
"""Name of the database while it is made."""
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Where MLflow keeps absolute addresses of files."""


def artefact_folder(at: Workspace, experiment: str) -> str:
    """Return the address of the files of an experiment in the embedded store."""
    return f"{_root(at)}/{re.sub(r'[^A-Za-z0-9_.-]', '_', experiment)}"


def make(at: Workspace) -> None:
    """Make the database if there is none, whole or not at all.

    MLflow cannot go on with one that it was killed in the middle of making: it is made under
    another name. One process at a time does this.
    """
    path, fresh = at.root / "mlflow.db", at.root / FRESH
    if path.exists():
        return
    at.root.mkdir(parents=True, exist_ok=True)
    for leftover in at.root.glob(f"{FRESH}*"):  # and its journal
        leftover.unlink()
    uri = f"sqlite:///{fresh.absolute()}"
    MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    fresh.rename(path)


def follow_move(at: Workspace) -> None:
    """Correct the addresses that MLflow stored, if the workspace was moved since."""
    path = at.root / "mlflow.db"
    if not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=20)) as connection, connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if not {table for table, _ in PLACES} <= tables:
            return
        for old in _old_roots(connection, _root(at)):
            for table, column in PLACES:
                connection.execute(
                    f"UPDATE {table} SET {column} = :new || substr({column}, length(:old) + 1) "  # noqa: S608  # constants
                    f"WHERE substr({column}, 1, length(:old) + 1) = :old || '/'",
                    {"new": _root(at), "old": old},
                )


def _root(at: Workspace) -> str:
    return at.mlflow_artefacts.absolute().as_uri()


def _old_roots(connection: sqlite3.Connection, root: str) -> set[str]:
    rows = connection.execute(
        "SELECT artifact_location FROM experiments WHERE name LIKE 'signetflow/%'"
    )
    return {location.rpartition("/")[0] for (location,) in rows} - {root}
