"""Prefect and MLflow for one machine, on loopback: one process tree that goes as a whole."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.server import STOP_TIMEOUT_S, wait_until_healthy
from models.errors import OperationsError, WrongUseError
from storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import IO

    from storage.layout import Workspace

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# Prefect and MLflow start processes of their own. Each command gets a process group, and this
# program outlives us to end the groups that it was told of, whatever became of us.
GUARDIAN = """
import os, signal, sys, time
groups = [int(line) for line in sys.stdin]
for number, pause in ((signal.SIGTERM, 10), (signal.SIGKILL, 0)):
    for group in groups:
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            pass
    time.sleep(pause)
"""
SECRETS = {
    "prefect": ("PREFECT_SERVER_DATABASE_", "PREFECT_API_DATABASE_"),
    "mlflow": ("MLFLOW_BACKEND_STORE_URI", "AWS_"),
}
"""How names of variables begin that a server alone is told: databases, and the store of files."""
WORKER = "worker"
LOOK_S = 1.0
"""How often the processes are looked at."""
RESTART_S = 30.0
"""A worker that ended is started again, but not sooner after its last start."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """What to serve, and where."""

    at: Workspace
    prefect_port: int = 4200
    mlflow_port: int = 5000
    host: str = "127.0.0.1"
    workers: tuple[str, ...] = ()
    """Pools for which a worker is started as well."""
    log_here: bool = False
    """All write where this program does, such as to a journal, in place of files."""

    @property
    def prefect_url(self) -> str:
        """Return the address of Prefect's API."""
        return f"http://{self.host}:{self.prefect_port}/api"

    @property
    def mlflow_url(self) -> str:
        """Return the address of MLflow."""
        return f"http://{self.host}:{self.mlflow_port}"

    def log_of(self, name: str) -> Path | None:
        """Return the file that a server or worker writes to; None: it writes where we do."""
        if self.log_here:
            return None
        return self.at.root / "servers" / f"{name.replace(' ', '-')}.log"


@dataclass(frozen=True, slots=True)
class _Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path | None
    began: float


def serve(what: Serving, ready: Callable[[Serving], None]) -> int:
    """Serve until a signal comes or a server ends; return the exit code.

    Databases are those of PREFECT_SERVER_DATABASE_CONNECTION_URL and MLFLOW_BACKEND_STORE_URI, or
    SQLite files in the workspace; files of runs go to SIGNETFLOW_MLFLOW_ARTIFACTS, or into it.

    Raises
    ------
    WrongUseError
        If the host is not loopback.
    OperationsError
        If a server does not start.
    """
    require_loopback(what.host)
    _require_free_ports(what)
    what.at.require_writable()
    with ExitStack() as everything, _signals() as told:
        start = everything.enter_context(_guarded(what))
        children = [start(*one) for one in servers(what)]
        for child, url in zip(children, (what.prefect_url, what.mlflow_url), strict=True):
            wait_until_healthy(_health(url), child.process, _source(child.log))
        workers = dict(_workers(what))
        children += [start(*one) for one in workers.items()]
        _tell_service_manager()
        ready(what)
        return _watch(children, told, lambda name: start(name, workers[name]))


def _tell_service_manager() -> None:
    """Say that both servers answer, to the service manager that waits for it (sd_notify(3))."""
    place = os.environ.get("NOTIFY_SOCKET")
    if not place:
        return
    address = f"\0{place[1:]}" if place.startswith("@") else place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(b"READY=1", address)


def _workers(what: Serving) -> Iterator[tuple[str, list[str]]]:
    for pool in what.workers:
        yield (
            f"{WORKER} {pool}",
            ["prefect", "worker", "start", "--pool", pool, "--limit", "1"],
        )


def require_loopback(host: str) -> None:
    """Refuse to listen where others could come.

    Raises
    ------
    WrongUseError
        If the host is not loopback.
    """
    if host not in LOOPBACK:
        raise WrongUseError(
            f"--host {host}: neither Prefect nor MLflow asks who calls, so they listen on loopback "
            f"only. Put the reverse proxy of docker/Caddyfile with its passwords before them."
        )


def _require_free_ports(what: Serving) -> None:
    """Refuse a port that is taken: whoever listens there would be taken for our own server."""
    family = socket.AF_INET6 if ":" in what.host else socket.AF_INET
    for name, port in (("prefect", what.prefect_port), ("mlflow", what.mlflow_port)):
        try:
            socket.create_server((what.host, port), family=family).close()
        except OSError as error:
            said = os.strerror(error.errno or 0)
            raise OperationsError(
                f"{what.host}:{port}, wanted for {name}: {said}. Is another signetflow ops serve "
                f"running (ss -ltnp)? End it, or choose with --{name}-port."
            ) from error


def _health(url: str) -> str:
    return f"{url}/health"


def servers(what: Serving) -> Iterator[tuple[str, list[str]]]:
    """Yield the command of each server: for loopback alone, and without a secret."""
    yield "prefect", [
        "prefect", "server", "start", "--host", what.host, "--port", str(what.prefect_port),
    ]  # fmt: skip
    files = os.environ.get("SIGNETFLOW_MLFLOW_ARTIFACTS", str(what.at.mlflow_artefacts.absolute()))
    yield "mlflow", [
        "mlflow", "server", "--host", what.host, "--port", str(what.mlflow_port), "--workers", "1",
        "--artifacts-destination", files, "--serve-artifacts",
    ]  # fmt: skip


@contextmanager
def _guarded(what: Serving) -> Iterator[Callable[[str, Sequence[str]], _Child]]:
    """Yield a function that starts a command; all that it started ends with us."""
    guardian = subprocess.Popen(  # noqa: S603  # our own interpreter and a fixed program
        [sys.executable, "-c", GUARDIAN], stdin=subprocess.PIPE, text=True, start_new_session=True
    )
    if guardian.stdin is None:
        raise AssertionError("asked for a pipe")
    told = guardian.stdin
    children: list[_Child] = []

    def start(name: str, command: Sequence[str]) -> _Child:
        child = _started(what, name, command)
        children[:] = [one for one in children if one.name != name] + [child]
        print(child.process.pid, file=told, flush=True)  # into a pipe
        return child

    try:
        yield start
    finally:
        for child in children:
            _signal(child, signal.SIGTERM)
        for child in children:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(STOP_TIMEOUT_S)
            _signal(child, signal.SIGKILL)
            child.process.wait()
        told.close()
        guardian.terminate()
        guardian.wait()


def _signal(child: _Child, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.process.pid, number)


def _started(what: Serving, name: str, command: Sequence[str]) -> _Child:
    log = what.log_of(name)
    with _opened(log) as stream, _migrating(what, name):
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and a fixed command
            [sys.executable, "-m", *command],
            env=environment(what, name), stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            start_new_session=True,
        )  # fmt: skip
    return _Child(name, process, log, time.monotonic())


def _opened(log: Path | None) -> AbstractContextManager[IO[bytes] | None]:
    if log is None:
        return nullcontext()
    log.parent.mkdir(exist_ok=True)
    return log.open("ab")


def _source(log: Path | None) -> str:
    return "the output above" if log is None else str(log)


@contextmanager
def _migrating(what: Serving, name: str) -> Iterator[None]:
    """Bring Prefect's database up to date, one starter at a time: two would break each other."""
    if name != "prefect":
        yield
        return
    with exclusive(what.at.prefect_home / "start.lock"):
        upgrade = ["-m", "prefect", "server", "database", "upgrade", "-y"]
        done = subprocess.run(  # noqa: S603  # our own interpreter and a fixed command
            [sys.executable, *upgrade], env=environment(what, name), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            said = (done.stdout + done.stderr).strip()[-1500:]
            raise OperationsError(f"Prefect's database cannot be brought up to date: {said}")
    yield


def environment(what: Serving, name: str) -> dict[str, str]:
    """Return what a server or worker is told; of secrets, its own."""
    ours = {
        "PREFECT_HOME": str(what.at.prefect_home.absolute()),
        "PREFECT_API_URL": what.prefect_url,
        # Behind a proxy, browsers find Prefect under its name, not on loopback.
        "PREFECT_SERVER_UI_API_URL": os.environ.get("PREFECT_SERVER_UI_API_URL", what.prefect_url),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_TRACKING_URI": what.mlflow_url,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Jobs for language models: eight processes and 1.6 GB that nobody here asks anything.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "1",
    }
    if name == "mlflow":
        # Not on its command line: every user of the host can read that, and a password is in it.
        ours["MLFLOW_BACKEND_STORE_URI"] = os.environ.get(
            "MLFLOW_BACKEND_STORE_URI", what.at.mlflow_uri
        )
    others = tuple(one for owner, names in SECRETS.items() if owner != name for one in names)
    others += ("NOTIFY_SOCKET",)  # ours to answer
    kept = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    return {**kept, **ours}


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Note the signals that ask to end, instead of dying of them half-way."""
    told: list[int] = []
    asked = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, lambda number, _frame: told.append(number)) for one in asked]
    try:
        yield told
    finally:
        for one, handler in zip(asked, before, strict=True):
            signal.signal(one, handler)


def _watch(
    children: list[_Child], told: Sequence[int], start_worker: Callable[[str], _Child]
) -> int:
    """Look at the processes until a signal comes; a worker that ended is started again.

    Prefect's worker may end by an error of its own, such as a run that is retried while its process
    is about to end. That is no reason to take the servers away from every other run.

    Raises
    ------
    OperationsError
        If a server ended.
    """
    while not told:
        for number, child in enumerate(children):
            code = child.process.poll()
            if code is None:
                continue
            said = (
                f"{child.name} ended by itself (exit code {code}); {_source(child.log)} says why."
            )
            if not child.name.startswith(WORKER):
                raise OperationsError(
                    f"{said} Everything else was stopped: mend that and start again."
                )
            if time.monotonic() - child.began > RESTART_S:
                logger.warning("%s It is started again.", said)
                children[number] = start_worker(child.name)
        time.sleep(LOOK_S)
    return 0
