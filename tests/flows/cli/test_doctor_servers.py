"""What the doctor says of servers, asked of small ones of our own."""

import json
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata

import pytest

from flows.cli.doctor_servers import (
    check_mlflow,
    check_pools,
    check_prefect_server,
    check_server_clocks,
)
from flows.dispatch import Dispatch, Dispatched, Pool
from storage.layout import Workspace


class Server(ThreadingHTTPServer):
    """Answers as Prefect and MLflow do, of the version and at the time that the test sets."""

    def __init__(self):
        self.version, self.ahead_s = "0", 0.0
        super().__init__(("127.0.0.1", 0), Answers)


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        assert isinstance(self.server, Server)
        said = self.server.version
        said = json.dumps(said) if self.path.endswith("/admin/version") else said
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())

    def date_time_string(self, timestamp=None):
        assert isinstance(self.server, Server)
        return formatdate(time.time() + self.server.ahead_s, usegmt=True)

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch):
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path)


def test_servers_of_our_own_versions_are_ok(server, at):
    server.version = metadata.version("prefect")
    prefect = check_prefect_server()
    assert (prefect.verdict, prefect.advice) == ("ok", "")
    assert prefect.seen.endswith(f"/api, version {server.version}")
    server.version = metadata.version("mlflow")
    assert check_mlflow(at).verdict == "ok"


def test_servers_of_other_versions_are_a_warning_that_says_both(server, at):
    server.version = "2.19.0"
    for check, name in ((check_prefect_server(), "prefect"), (check_mlflow(at), "mlflow")):
        assert check.verdict == "warn"
        assert check.seen.endswith("version 2.19.0")
        assert f"here is {metadata.version(name)}: install the same" in check.advice


def test_a_server_that_does_not_say_its_version_is_taken_as_it_is(server, at):
    server.version = "<html>who are you?</html>"
    assert check_mlflow(at).verdict == "ok"


@pytest.mark.parametrize(("ahead_s", "verdict"), [(0, "ok"), (3, "ok"), (60, "fail"), (-9, "fail")])
def test_a_server_whose_clock_differs_fails(server, at, ahead_s, verdict):
    server.ahead_s = ahead_s
    check = check_server_clocks(at)
    assert check.verdict == verdict
    said = float(check.seen.split()[1])
    assert abs(said - ahead_s) <= 2
    assert ("timedatectl" in check.advice) is (verdict == "fail")


def test_without_servers_there_is_no_clock_to_compare_with(at, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    assert check_server_clocks(at).seen == "no server to compare with"


def waiting(pool):
    return (Dispatched("f" * 32, "n", "retrain/weekly", pool, "Late", None, ""),)


@pytest.mark.parametrize(
    ("pool", "late", "verdict", "advice"),
    [
        (Pool("gpu0", False, 1, "0", ("w0",)), (), "ok", ""),
        (Pool("gpu0", False, 1, "0", ()), (), "ok", ""),
        (Pool("gpu0", False, 1, "0", ()), waiting("gpu0"), "fail", "worker start --pool gpu0"),
        (Pool("gpu0", True, 1, "0", ("w0",)), (), "warn", "work-pool resume gpu0"),
        (Pool("gpu1", False, 1, "1", ("w1",)), (), "warn", "bootstrap --gpus 1"),
        (Pool("cpu", False, 1, "", ("w",)), (), "ok", ""),
        (Pool("mine", False, None, None, ()), (), "ok", ""),
    ],
)
def test_a_pool_that_will_not_run_what_it_is_for_says_what_to_do(pool, late, verdict, advice):
    (check,) = check_pools(Dispatch("u", pools=(pool,), late=late), n_cards=1)
    assert check.name == f"pool {pool.name}"
    assert check.verdict == verdict
    assert advice in check.advice


def test_a_server_without_pools_is_to_be_bootstrapped():
    (check,) = check_pools(Dispatch("u"), 0)
    assert (check.verdict, "ops bootstrap" in check.advice) == ("warn", True)
    (unknown,) = check_pools(Dispatch("u", "it is away"), 0)
    assert (unknown.verdict, unknown.seen) == ("ok", "not looked at: it is away")
