"""The databases of the servers, saved and restored, each by its own tools."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from models.errors import OperationsError, WorkspaceError

if TYPE_CHECKING:
    from pathlib import Path

SERVERS = {
    "prefect": "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "mlflow": "MLFLOW_BACKEND_STORE_URI",
}
"""Of each server, the variable that names its database; unset: a SQLite file in the workspace."""
CONNECT_S = 10


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL database of a server."""

    server: str
    host: str
    port: str
    name: str
    user: str
    password: str

    @property
    def environment(self) -> dict[str, str]:
        """Return what PostgreSQL's tools read; a password in a command line could be seen."""
        said = {
            "PGHOST": self.host, "PGPORT": self.port, "PGDATABASE": self.name,
            "PGUSER": self.user, "PGPASSWORD": self.password,
            "PGCONNECT_TIMEOUT": str(CONNECT_S),
        }  # fmt: skip
        return {**os.environ, **{key: value for key, value in said.items() if value}}

    def __str__(self) -> str:
        return f"{self.name} at {self.host or 'the local socket'}"


def named() -> dict[str, Database]:
    """Return the PostgreSQL databases that the environment names, by server.

    Raises
    ------
    OperationsError
        If it names one of another kind.
    """
    found = {server: os.environ.get(variable, "") for server, variable in SERVERS.items()}
    return {server: _database(server, url) for server, url in found.items() if url}


def _database(server: str, url: str) -> Database:
    parts = urlsplit(url)
    if parts.scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise OperationsError(
            f"{SERVERS[server]}: {parts.scheme or 'nothing'} is no PostgreSQL. Unset it if the "
            f"database is the SQLite file of the workspace; or leave databases out "
            f"(--without-databases) and save that one yourself."
        )
    host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]
    return Database(
        server, host, str(parts.port or ""), parts.path.lstrip("/"),
        unquote(parts.username or ""), unquote(parts.password or ""),
    )  # fmt: skip


def dump(database: Database, path: Path) -> None:
    """Write a database into a file, as it is at one moment.

    Raises
    ------
    OperationsError
        If pg_dump is not there, or refuses.
    """
    _run(database, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={path}")


def load(database: Database, path: Path) -> None:
    """Fill an empty database from a file, whole or not at all.

    Raises
    ------
    OperationsError
        If pg_restore is not there, or refuses.
    """
    how = ["--no-owner", "--no-privileges", "--no-comments", "--single-transaction"]
    _run(database, "pg_restore", *how, "--exit-on-error", f"--dbname={database.name}", str(path))


def _run(database: Database, tool: str, *words: str) -> None:
    command = shutil.which(tool)
    if command is None:
        raise OperationsError(
            f"{tool} is not installed: apt-get install postgresql-client, of the server's version "
            f"or newer; or leave databases out (--without-databases)."
        )
    done = subprocess.run(  # noqa: S603  # PostgreSQL's own tool
        [command, *words], env=database.environment, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        said = " ".join(done.stderr.split())[-600:] or f"exit code {done.returncode}"
        raise OperationsError(f"{tool} of {database.server}'s database {database}: {said}")


def n_tables(database: Database) -> int:
    """Return how many tables a database has.

    Raises
    ------
    OperationsError
        If it cannot be reached.
    """
    import psycopg2

    asked = (
        "SELECT count(*) FROM information_schema.tables "
        "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    words = {
        "host": database.host, "port": database.port, "dbname": database.name,
        "user": database.user, "password": database.password,
    }  # fmt: skip
    try:
        with (
            closing(
                psycopg2.connect(
                    **{key: value for key, value in words.items() if value},
                    connect_timeout=CONNECT_S,
                )
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(asked)
            return int(cursor.fetchone()[0])
    except psycopg2.Error as error:
        said = " ".join(str(error).split())
        raise OperationsError(f"{database.server}'s database {database}: {said}") from error


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment, whoever writes to it meanwhile.

    Raises
    ------
    WorkspaceError
        If it is damaged or the disk refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(source, timeout=60)) as reader:
            with closing(sqlite3.connect(target)) as writer:
                reader.backup(writer)
            shutil.copymode(source, target)
    except (sqlite3.DatabaseError, OSError) as error:
        raise WorkspaceError(f"{source}: cannot be copied to {target} ({error}).") from error
