"""Prefect and MLflow for one machine: up, found, and gone with the command."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from flows.server import free_port
from flows.serving import (
    Serving,
    _Child,
    _started,
    _tell_service_manager,
    _watch,
    environment,
    require_loopback,
    serve,
    servers,
)
from models.errors import OperationsError, WrongUseError
from storage.layout import Workspace


@pytest.fixture
def served(tmp_path):
    """Start ``ops serve`` with a worker and return its process and both addresses."""
    ports = [free_port(), free_port()]
    ours = ("PREFECT_", "MLFLOW_", "PYTHONUNBUFFERED")
    settings = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    words = ["--prefect-port", str(ports[0]), "--mlflow-port", str(ports[1]), "--worker", "cpu"]
    started = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "ops", "serve", "--workspace", str(tmp_path), *words],
        env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stdout is not None
    told = [started.stdout.readline() for _ in range(4)]
    assert "Prefect and MLflow run." in told[0], started.communicate()
    yield started, [line.rpartition("=")[2].strip() for line in told[1:3]]
    started.kill()
    started.communicate()


def alive(folder):
    return [one for one in psutil.process_iter() if _is_ours(one, str(folder))]


def _is_ours(process, folder):
    try:
        return process.environ().get("PREFECT_HOME", "").startswith(folder)
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def gone(folder, within_s=30):
    deadline = time.monotonic() + within_s
    while alive(folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    return alive(folder) == []


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_both_servers_answer_and_nothing_stays(served, tmp_path, how):
    started, addresses = served
    for address in addresses:
        with urllib.request.urlopen(f"{address}/health", timeout=10) as answer:  # noqa: S310
            assert answer.status == 200
    assert len(alive(tmp_path)) >= 3
    jobs = [one for one in alive(tmp_path) if any("mlflow.server.jobs" in w for w in one.cmdline())]
    assert jobs == []  # 1.6 GB that nobody here asks anything
    started.send_signal(how)
    assert started.wait(40) == (0 if how == signal.SIGINT else -9)
    assert gone(tmp_path)


@pytest.mark.slow
@pytest.mark.server
def test_if_one_ends_all_end_and_the_log_is_named(served, tmp_path):
    started, _ = served
    mlflow = next(one for one in alive(tmp_path) if "mlflow" in one.cmdline())
    mlflow.kill()
    _, err = started.communicate(timeout=40)
    assert started.returncode == 1
    assert "mlflow ended by itself" in err
    assert str(tmp_path / "servers" / "mlflow.log") in err
    assert gone(tmp_path)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::"])  # noqa: S104  # refused
def test_wider_than_loopback_is_refused(host):
    with pytest.raises(WrongUseError, match="reverse proxy"):
        require_loopback(host)


def test_loopback_is_not():
    require_loopback("127.0.0.1")


def test_the_command_refuses_it_too_and_says_what_to_do(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "ops", "serve", "--host", "0.0.0.0"],  # noqa: S104
        env={**os.environ, "SIGNETFLOW_WORKSPACE": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "docker/Caddyfile" in done.stderr


def test_a_port_that_somebody_has_is_refused_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        what = Serving(Workspace(tmp_path / "w"), free_port(), port)
        with pytest.raises(OperationsError, match=f"{port}, wanted for mlflow: Address already in"):
            serve(what, lambda _: None)
    assert not what.at.root.exists()


def test_where_logs_are_wanted_here_a_server_writes_no_file(tmp_path, capfd):
    child = _started(Serving(Workspace(tmp_path), log_here=True), "mlflow", ["this"])
    child.process.wait(30)
    assert "The Zen of Python" in capfd.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["{folder}/notify", "@{folder}"], ids=["file", "abstract"])
def test_the_service_manager_is_told_and_what_is_served_does_not_answer_it(
    tmp_path, monkeypatch, place
):
    named = place.format(folder=tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", named)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(named.replace("@", "\0"))
        manager.settimeout(5)
        _tell_service_manager()
        assert manager.recv(100) == b"READY=1"
    assert "NOTIFY_SOCKET" not in environment(Serving(Workspace(tmp_path)), "prefect")


def test_without_a_service_manager_nobody_is_told(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    _tell_service_manager()


SECRETS = {
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://prefect:one@127.0.0.1/prefect",
    "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2://mlflow:two@127.0.0.1/mlflow",
    "AWS_SECRET_ACCESS_KEY": "three",
}


@pytest.fixture
def told(monkeypatch, tmp_path):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return Serving(Workspace(tmp_path))


def test_a_server_is_told_its_own_secrets_alone_and_a_worker_none(told):
    has = {
        name: set(SECRETS) & set(environment(told, name))
        for name in ("prefect", "mlflow", "worker cpu")
    }
    assert has == {
        "prefect": {"PREFECT_SERVER_DATABASE_CONNECTION_URL"},
        "mlflow": {"MLFLOW_BACKEND_STORE_URI", "AWS_SECRET_ACCESS_KEY"},
        "worker cpu": set(),
    }
    assert environment(told, "mlflow")["MLFLOW_BACKEND_STORE_URI"].endswith("/mlflow")


def test_no_password_stands_on_a_command_line_that_others_can_read(told, monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_API_HOST", "0.0.0.0")  # noqa: S104  # not listened to
    commands = dict(servers(told))
    assert set(commands) == {"prefect", "mlflow"}
    for command in commands.values():
        assert not [word for word in command if any(value in word for value in SECRETS.values())]
        assert command[command.index("--host") + 1] == "127.0.0.1"


@pytest.fixture
def child(tmp_path):
    """Return a function that starts a process to be looked at; none stays."""
    started = []

    def start(name, seconds, began=0.0):
        words = [sys.executable, "-c", f"import sys, time; time.sleep({seconds}); sys.exit(3)"]
        started.append(subprocess.Popen(words))
        return _Child(name, started[-1], tmp_path / f"{name}.log", began)

    yield start
    for one in started:
        one.kill()
        one.wait()


def test_a_worker_that_ends_is_started_again_and_the_servers_stay(child, monkeypatch, caplog):
    monkeypatch.setattr("flows.serving.LOOK_S", 0.01)
    told = []

    def start_worker(name):
        told.append(signal.SIGTERM)
        return child(name, 60)

    children = [child("prefect", 60), child("worker gpu0", 0)]
    ended = children[1]
    assert _watch(children, told, start_worker) == 0
    assert [one.process.poll() for one in children] == [None, None]
    assert children[1] is not ended
    assert "worker gpu0 ended by itself (exit code 3)" in caplog.text


def test_a_worker_that_cannot_start_is_not_started_without_pause(child, monkeypatch):
    monkeypatch.setattr("flows.serving.LOOK_S", 0.01)
    monkeypatch.setattr("flows.serving.RESTART_S", 0.3)
    told, starts = [], []

    def start_worker(name):
        starts.append(time.monotonic())
        if len(starts) == 2:
            told.append(signal.SIGTERM)
        return child(name, 0, starts[-1])

    assert _watch([child("worker gpu0", 0)], told, start_worker) == 0
    assert starts[1] - starts[0] > 0.3


def test_a_server_that_ends_ends_everything(child, monkeypatch):
    monkeypatch.setattr("flows.serving.LOOK_S", 0.01)
    with pytest.raises(OperationsError, match=r"mlflow ended by itself.*mlflow\.log says why"):
        _watch([child("prefect", 60), child("mlflow", 0)], [], child)
