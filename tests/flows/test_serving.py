"""Prefect and MLflow for one machine: up, found, and gone with the command."""

import os
import signal
import subprocess
import sys
import time
import urllib.request

import psutil
import pytest

from flows.server import free_port
from flows.serving import Serving, environment, require_loopback, servers
from models.errors import WrongUseError
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
