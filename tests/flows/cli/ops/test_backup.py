"""Backup and restore as commands; with real databases: tests/drills/ops/test_backup.py."""

import json
import sqlite3
from contextlib import closing

import pytest

from flows.cli import main
from storage.backup import MANIFEST

URL = "postgresql+asyncpg://me@127.0.0.1:1/prefect"


@pytest.fixture(autouse=True)
def _no_databases(monkeypatch):
    for name in ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "MLFLOW_BACKEND_STORE_URI"):
        monkeypatch.delenv(name, raising=False)


def run(capsys, *words):
    code = main(["ops", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_backup_is_put_back_by_the_command_that_it_names(own_ground, tmp_path, capsys):
    saved, there = tmp_path / "saved", tmp_path / "there"
    with closing(sqlite3.connect(own_ground.at.root / "mlflow.db")) as server:
        server.execute("CREATE TABLE runs (x)")
    code, said = run(capsys, "backup", saved, "--workspace", own_ground.at.root)
    assert code == 0
    assert f"Back with: signetflow ops restore {saved}" in said
    assert "mlflow's database: SQLite in the workspace" in said
    assert "prefect's database: none; PREFECT_SERVER_DATABASE_CONNECTION_URL names no" in said
    code, said = run(capsys, "restore", saved, "--workspace", there)
    assert code == 0
    assert f"Now: signetflow labels verify --all --workspace {there}" in said
    assert "still send runs there" not in said  # there was no Prefect
    assert main(["labels", "verify", "--all", "--workspace", str(there)]) == 0
    code, said = run(capsys, "restore", saved, "--workspace", there)
    assert (code, "is not overwritten" in said) == (2, True)


def test_as_json_it_says_what_is_in_it(own_ground, tmp_path, capsys):
    code, said = run(capsys, "backup", tmp_path / "s", "--workspace", own_ground.at.root, "--json")
    answer = json.loads(said)
    assert (code, answer["databases"], answer["harm"]) == (0, {}, [])
    assert answer["files"] > 10
    assert answer["bytes"] > 1000


def test_damage_that_was_there_already_is_told_with_exit_code_one(own_ground, tmp_path, capsys):
    path = own_ground.at.path(own_ground.annotated) / "version.json"
    path.write_text(path.read_text() + " ")
    code, said = run(capsys, "backup", tmp_path / "s", "--workspace", own_ground.at.root)
    assert code == 1
    assert "version.json is missing or altered; signetflow run --verify makes it anew" in said


def test_databases_of_the_backup_and_of_the_servers_must_fit(
    own_ground, tmp_path, capsys, monkeypatch
):
    saved = tmp_path / "saved"
    run(capsys, "backup", saved, "--workspace", own_ground.at.root)
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", URL)
    code, said = run(capsys, "restore", saved, "--workspace", tmp_path / "there")
    assert (code, "holds no PostgreSQL database of prefect" in said) == (2, True)
    listed = json.loads((saved / MANIFEST).read_text()) | {"databases": ["mlflow"]}
    del listed["digest"]
    (saved / MANIFEST).write_text(json.dumps(listed))
    code, said = run(capsys, "restore", saved, "--workspace", tmp_path / "there")
    assert (code, "name an empty one with MLFLOW_BACKEND_STORE_URI" in said) == (2, True)
    code, _ = run(
        capsys, "restore", saved, "--workspace", tmp_path / "there", "--without-databases"
    )
    assert code == 0


@pytest.mark.parametrize("moved", [True, False])
def test_put_back_elsewhere_it_says_what_still_leads_to_the_old_place(
    own_ground, tmp_path, capsys, moved
):
    at, saved = own_ground.at.root, tmp_path / "saved"
    (at / "prefect").mkdir()
    with closing(sqlite3.connect(at / "prefect" / "prefect.db")) as server:
        server.execute("CREATE TABLE runs (x)")
    run(capsys, "backup", saved, "--workspace", at)
    at.rename(tmp_path / "lost")
    there = tmp_path / "there" if moved else at
    code, said = run(capsys, "restore", saved, "--workspace", there)
    assert code == 0
    assert (f"The workspace was {at}, and" in said) == moved
    assert (f"signetflow ops bootstrap ... --workspace {there}" in said) == moved
