"""A PostgreSQL cluster of a test's own: started, restarted, and gone with the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from flows.server import free_port

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql*/bin", "/usr/pgsql-*/bin")
"""Where PostgreSQL lies when it is not on the path; Debian never puts its server there."""
NOBODY_ELSE = 0o755
PATIENCE_S = 60


def binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL server of this machine, if there is one."""
    found = [path for place in PLACES for path in Path("/").glob(f"{place[1:]}/initdb")]
    on_path = shutil.which("initdb")
    newest = sorted(found, key=lambda path: _version(path.parent))[-1:]
    initdb = newest[0] if newest else Path(on_path).resolve() if on_path else None
    return initdb.parent if initdb and (initdb.parent / "postgres").exists() else None


def _version(folder: Path) -> tuple[int, ...]:
    said = subprocess.run([folder / "postgres", "-V"], capture_output=True, text=True, check=False)
    number = said.stdout.split()[2] if said.returncode == 0 else "0"
    return tuple(int(part) for part in number.split(".") if part.isdigit())


def _as_whom() -> dict[str, Any]:
    """Return how a process is started: the server refuses to run as root."""
    if os.geteuid():
        return {}
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


@dataclass
class Postgres:
    """One cluster on loopback, that trusts whoever comes: for a test only."""

    folder: Path
    """Made; everyone above it must let the user postgres through."""
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        """Create the cluster and start it."""
        self.folder.mkdir(mode=NOBODY_ELSE)
        if not os.geteuid():
            shutil.chown(self.folder, "postgres", "postgres")
        command = ["initdb", "-D", str(self.folder / "data"), "-A", "trust", "-U", "postgres"]
        command += ["--locale=C.UTF-8", "-E", "UTF8", "--no-sync"]
        done = subprocess.run(
            [_found() / command[0], *command[1:]], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=False, timeout=PATIENCE_S, **_as_whom(),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1", "port": str(self.port), "fsync": "off",
            "unix_socket_directories": str(self.folder), "max_connections": "200",
        }  # fmt: skip
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            [_found() / "postgres", "-D", str(self.folder / "data"), *words], cwd=self.folder,
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True, **_as_whom(),
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self.process.poll() is None, "PostgreSQL ended at once"
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server as an administrator does: whoever is connected is cut off."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE_S)
        self.process = None

    def database(self, name: str) -> str:
        """Create a database and return where it is, behind ``<driver>://``."""
        self._do("postgres", f"CREATE DATABASE {name}")
        self._do(name, "CREATE EXTENSION IF NOT EXISTS pg_trgm")
        return f"postgres@127.0.0.1:{self.port}/{name}"

    def _do(self, database: str, statement: str) -> None:
        with closing(self._connected(database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)

    def _answers(self) -> bool:
        try:
            self._connected("postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def _connected(self, database: str) -> Any:
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=database, connect_timeout=5
        )


def _found() -> Path:
    folder = binaries()
    assert folder is not None
    return folder
