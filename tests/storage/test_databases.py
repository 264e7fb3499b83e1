"""The servers' databases; a real PostgreSQL: tests/drills/ops/test_backup.py."""

import json
import os
import socket
import sqlite3
from contextlib import closing

import pytest

from models.errors import OperationsError, WorkspaceError
from storage.databases import copy_sqlite, dump, load, n_tables, named

URL = "postgresql+asyncpg://me:p%40ss%2Fword@db.example:6543/prefect"


@pytest.fixture(autouse=True)
def _no_databases(monkeypatch):
    monkeypatch.delenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", raising=False)
    monkeypatch.delenv("MLFLOW_BACKEND_STORE_URI", raising=False)


def prefect(monkeypatch, url=URL):
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", url)
    return named()["prefect"]


def test_an_address_is_taken_apart_as_the_servers_take_it(monkeypatch):
    assert named() == {}
    one = prefect(monkeypatch)
    assert (one.host, one.port, one.name, one.user) == ("db.example", "6543", "prefect", "me")
    assert one.password == "p@ss/word"  # noqa: S105
    assert "p@ss/word" not in str(one)
    socketed = prefect(monkeypatch, "postgresql+psycopg2:///mlflow?host=/run/postgresql")
    assert (socketed.host, socketed.port, socketed.name) == ("/run/postgresql", "", "mlflow")


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:////srv/x.db", "mysql://h/d", "nonsense"])
def test_a_database_of_another_kind_is_refused_with_what_to_do(monkeypatch, url):
    with pytest.raises(OperationsError, match=r"no PostgreSQL.*--without-databases"):
        prefect(monkeypatch, url)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Put programs in the place of PostgreSQL's that write down how they were called."""
    for name in ("pg_dump", "pg_restore"):
        program = tmp_path / name
        program.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/words\nenv > {tmp_path}/env\n"
            f"echo $FAILING >&2\nexit ${{FAILING:-0}}\n"
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_a_password_stands_in_no_command_line(tools, monkeypatch):
    one = prefect(monkeypatch)
    for call in (dump, load):
        call(one, tools / "x.dump")
        assert "p@ss/word" not in (tools / "words").read_text()
        assert "PGPASSWORD=p@ss/word" in (tools / "env").read_text()
        assert "PGHOST=db.example" in (tools / "env").read_text()
    assert "--single-transaction" in (tools / "words").read_text()


def test_a_tool_that_refuses_or_is_not_there_says_so(tools, monkeypatch):
    one = prefect(monkeypatch)
    monkeypatch.setenv("FAILING", "3")
    with pytest.raises(OperationsError, match=r"pg_dump of prefect's database prefect at .*: 3"):
        dump(one, tools / "x.dump")
    monkeypatch.setenv("PATH", str(tools / "none"))
    with pytest.raises(OperationsError, match="apt-get install postgresql-client"):
        dump(one, tools / "x.dump")


def test_a_database_that_is_away_is_named(monkeypatch):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"postgresql+asyncpg://me:secret@127.0.0.1:{held.getsockname()[1]}/prefect"
        with pytest.raises(OperationsError, match="prefect's database prefect at 127") as caught:
            n_tables(prefect(monkeypatch, url))
    assert "secret" not in str(caught.value)


def test_a_copy_of_sqlite_is_one_moment_although_somebody_writes(tmp_path):
    source, target = tmp_path / "a.db", tmp_path / "deeper" / "b.db"
    with closing(sqlite3.connect(source)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        writer.execute("INSERT INTO t VALUES (2)")  # not committed yet
        copy_sqlite(source, target)
        writer.commit()
    with closing(sqlite3.connect(target)) as reader:
        assert json.dumps(reader.execute("SELECT x FROM t").fetchall()) == "[[1]]"


def test_what_is_no_sqlite_is_refused(tmp_path):
    (tmp_path / "a.db").write_text("nonsense" * 100)
    with pytest.raises(WorkspaceError, match="cannot be copied"):
        copy_sqlite(tmp_path / "a.db", tmp_path / "b.db")
