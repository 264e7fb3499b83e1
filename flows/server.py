"""An embedded Prefect server: for one command, on loopback, gone when the command is gone."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.errors import WorkspaceError
from storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage.layout import Workspace

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 10
RUN_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
# Prefect's own ephemeral server outlives a parent that is killed. This launcher asks the kernel to
# kill the server with us (PR_SET_PDEATHSIG is 1), then becomes the server.
LAUNCHER = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGKILL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)

_own: set[str] = set()
"""Addresses of the servers that this process has started for itself."""


def outer_server() -> str:
    """Return the address of the Prefect server that people look at; empty if there is none."""
    known = os.environ.get("PREFECT_API_URL", "")
    return "" if known in _own else known


@contextmanager
def prefect_server(at: Workspace) -> Iterator[str]:
    """Yield the address of a Prefect API: the one that is set up, or one of our own.

    The environment is set for Prefect, which must not have been imported before.

    Raises
    ------
    WorkspaceError
        If the server does not start.
    """
    for name in RUN_LOGGERS:
        # To the server only: Prefect would print a page of trace where the command says a line.
        logging.getLogger(name).propagate = False
    known = os.environ.get("PREFECT_API_URL")
    if known:
        yield known
        return
    os.environ["PREFECT_HOME"] = str(at.prefect_home.absolute())
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    # Two first starts on one home would both migrate its database; one of them would fail.
    with exclusive(at.prefect_home / "start.lock"):
        port = free_port()
        log = at.prefect_home / "server.log"
        process = _started(port, log)
        url = f"http://127.0.0.1:{port}/api"
        os.environ["PREFECT_API_URL"] = url
        _own.add(url)
        try:
            import prefect.events
            import prefect.flows  # noqa: F401  # takes seconds, and so does the server's start

            wait_until_healthy(f"{url}/health", process, log)
        except BaseException:
            del os.environ["PREFECT_API_URL"]
            process.kill()
            raise
    try:
        yield url
    finally:
        for handler in [one for name in RUN_LOGGERS for one in logging.getLogger(name).handlers]:
            handler.flush()
        del os.environ["PREFECT_API_URL"]
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port of loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _started(port: int, log: Path) -> subprocess.Popen[bytes]:
    server = [
        "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app",
        "--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on",
    ]  # fmt: skip
    settings = {
        "PREFECT_UI_ENABLED": "0",
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    with log.open("ab") as stream:
        return subprocess.Popen(  # noqa: S603  # our own interpreter and a fixed command
            [sys.executable, "-c", LAUNCHER, *server],
            env={**os.environ, **settings}, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            # Ctrl-C is ours: a server that heard it too would be gone before the run has ended.
            start_new_session=True,
        )  # fmt: skip


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path | str) -> None:
    """Wait until a server of ours answers.

    Raises
    ------
    WorkspaceError
        If it ended, or did not answer in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  # http, ours
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    process.kill()
    raise WorkspaceError(
        f"the server at {url} did not start within {START_TIMEOUT_S} s; {log} says why. Mend that, "
        f"or set PREFECT_API_URL to a server that runs."
    )
