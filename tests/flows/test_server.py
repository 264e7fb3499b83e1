"""How the embedded server is started and ended, with a stand-in for Prefect's.

That the real one runs a flow and dies with its parent is tested in tests/architecture.
"""

import logging
import os
import subprocess
import sys

import pytest

from flows import server
from flows.server import RUN_LOGGERS, prefect_server
from models.errors import WorkspaceError
from storage.layout import Workspace

HEALTHY = """
import http.server, sys, time
time.sleep(float(sys.argv[2]))
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy).serve_forever()
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HEALTHY
BROKEN = "import sys; sys.exit('no such table: block_type')"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """Whatever a server sets is undone."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for name in ("PREFECT_HOME", "PREFECT_LOGGING_LEVEL"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    yield
    for name in RUN_LOGGERS:
        logging.getLogger(name).propagate = True


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "work space")


@pytest.fixture
def stand_in(monkeypatch):
    """Return a function that puts a script in place of Prefect's server."""
    started: list[subprocess.Popen[bytes]] = []

    def use(script, delay=0.0):
        def start(port, log):
            words = [sys.executable, "-c", script, str(port), str(delay)]
            with log.open("ab") as stream:
                started.append(subprocess.Popen(words, stderr=stream))
            return started[-1]

        monkeypatch.setattr(server, "_started", start)
        return started

    yield use
    for process in started:
        process.kill()
        process.wait()


def test_a_server_that_is_set_up_is_used_and_left_alone(at, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    with prefect_server(at) as url:
        assert url == "http://prefect.example/api"
    assert os.environ["PREFECT_API_URL"] == "http://prefect.example/api"
    assert not at.root.exists()


def test_a_server_is_waited_for_used_and_ended(at, stand_in):
    started = stand_in(HEALTHY, delay=0.4)
    with prefect_server(at) as url:
        assert os.environ["PREFECT_API_URL"] == url
        assert url.startswith("http://127.0.0.1:")
        assert started[0].poll() is None
    assert started[0].poll() is not None
    assert "PREFECT_API_URL" not in os.environ


def test_a_server_is_ended_after_an_error_too(at, stand_in):
    started = stand_in(HEALTHY)

    def fail():
        with prefect_server(at):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert started[0].poll() is not None
    assert "PREFECT_API_URL" not in os.environ


def test_a_server_that_does_not_listen_to_the_end_is_killed(at, stand_in, monkeypatch):
    monkeypatch.setattr(server, "STOP_TIMEOUT_S", 0.2)
    started = stand_in(STUBBORN)
    with prefect_server(at):
        pass
    assert started[0].poll() == -9


def test_a_server_that_cannot_start_is_an_error_that_names_its_log(at, stand_in):
    stand_in(BROKEN)
    with pytest.raises(WorkspaceError, match=r"server\.log says why.*PREFECT_API_URL"):
        prefect_server(at).__enter__()
    assert "block_type" in (at.prefect_home / "server.log").read_text()


def test_a_server_that_never_answers_is_given_up(at, stand_in, monkeypatch):
    monkeypatch.setattr(server, "START_TIMEOUT_S", 0.3)
    started = stand_in("import time; time.sleep(60)")
    with pytest.raises(WorkspaceError, match=r"within 0\.3 s"):
        prefect_server(at).__enter__()
    started[0].wait(5)


def test_what_it_keeps_lies_in_the_workspace(at, stand_in):
    stand_in(HEALTHY)
    with prefect_server(at):
        assert os.environ["PREFECT_HOME"] == str(at.prefect_home)


def test_traces_of_runs_go_to_the_server_and_not_to_the_console(at, stand_in, caplog, monkeypatch):
    heard, flushed = [], []

    class Api(logging.Handler):
        def emit(self, record):
            heard.append(record.getMessage())

        def flush(self):
            flushed.append("PREFECT_API_URL" in os.environ)

    logger = logging.getLogger(RUN_LOGGERS[0])
    monkeypatch.setattr(logger, "handlers", [Api()])
    stand_in(HEALTHY)
    with prefect_server(at):
        logger.error("a page of trace")
        logging.getLogger("storage.regions").warning("a slide is left out")
    assert heard == ["a page of trace"]
    assert caplog.messages == ["a slide is left out"]
    assert flushed[0]  # while the server was still there
