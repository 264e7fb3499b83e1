from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from storage.layout import Workspace
from storage.tracking.address import problem_reaching, shown, tracking_uri


class Answering(HTTPServer):
    """A server of loopback that answers every request with one code."""

    def __init__(self, code: int) -> None:
        seen = self.seen = list[str]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append(self.path)
                self.send_response(code)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def answering():
    """Serve one status code on every path of loopback; return how to start it."""
    servers: list[Answering] = []

    def serve(code):
        server = Answering(code)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_workspace_is_its_own_server_unless_one_is_named(monkeypatch):
    at = Workspace(Path("/somewhere"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(at) == "sqlite:////somewhere/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert tracking_uri(at) == "http://127.0.0.1:1"
    assert tracking_uri(at, "http://127.0.0.1:2") == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("uri", "without"),
    [
        ("https://me:secret@host:5000/a", "https://host:5000/a"),
        ("http://host", "http://host"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("postgresql+psycopg2://me:s@host/db", "postgresql+psycopg2://host/db"),
    ],
)
def test_an_address_is_shown_without_its_password(uri, without):
    assert shown(uri) == without


@pytest.mark.parametrize("code", [200, 401, 404])
def test_any_answer_of_a_server_is_an_answer(answering, code):
    server = answering(code)
    assert problem_reaching(f"http://127.0.0.1:{server.server_port}/under/") == ""
    assert server.seen == ["/under/health"]


def test_a_gateway_without_a_server_behind_it_is_a_problem(answering):
    server = answering(502)
    assert "502" in problem_reaching(f"http://127.0.0.1:{server.server_port}")


def test_a_closed_port_is_a_problem_and_a_database_is_not_asked(closed_port):
    assert "cannot be reached" in problem_reaching(f"http://127.0.0.1:{closed_port}")
    assert problem_reaching("sqlite:////no/such/place.db") == ""
