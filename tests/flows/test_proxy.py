"""From other hosts: the shipped proxy lets in who has the password, and nobody else."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

CADDYFILE = Path(__file__).resolve().parents[2] / "docker" / "Caddyfile"
USER, PASSWORD = "operator", "correct horse"
READY_S = 180
NO_CADDY = shutil.which("caddy") is None
PLACES = {"prefect": "/api/health", "mlflow": "/api/2.0/mlflow/experiments/search?max_results=1"}


@dataclass(frozen=True)
class Proxied:
    """Real servers behind the shipped proxy, as others reach them."""

    prefect: str
    mlflow: str
    root: Path
    """Of the proxy's own authority."""

    def status(self, url: str, password: str | None = None) -> int:
        """Return what the proxy answers."""
        request = urllib.request.Request(url)  # noqa: S310  # https, ours
        if password is not None:
            basic = base64.b64encode(f"{USER}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {basic}")
        trusted = ssl.create_default_context(cafile=self.root)
        try:
            with urllib.request.urlopen(request, timeout=30, context=trusted) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("proxied")
    prefect, mlflow, https, health = (free_port() for _ in range(4))
    ours = ("PREFECT_", "MLFLOW_", "SIGNETFLOW_", "COV_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # The two names are two of this host's own: others need entries in DNS.
    settings = kept | {
        "SIGNETFLOW_PREFECT_HOST": "localhost",
        "SIGNETFLOW_MLFLOW_HOST": "127.0.0.1",
        "SIGNETFLOW_PREFECT_UPSTREAM": f"127.0.0.1:{prefect}",
        "SIGNETFLOW_MLFLOW_UPSTREAM": f"127.0.0.1:{mlflow}",
        "SIGNETFLOW_HTTPS_LISTEN": str(https),
        "SIGNETFLOW_PROXY_HEALTH_PORT": str(health),
        "SIGNETFLOW_PROXY_USER": USER,
        "SIGNETFLOW_PROXY_HASH": hashed(),
        "MLFLOW_SERVER_ALLOWED_HOSTS": "localhost:*,127.0.0.1:*",
        "PREFECT_SERVER_UI_API_URL": f"https://localhost:{https}/api",
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    ports = ["--prefect-port", str(prefect), "--mlflow-port", str(mlflow)]
    serve = [sys.executable, "-m", "flows.cli", "ops", "serve", "--workspace", str(folder), *ports]
    proxy = ["caddy", "run", "--adapter", "caddyfile", "--config", str(CADDYFILE)]
    started = [begun(serve, settings, folder / "serve.log")]
    try:
        started.append(begun(proxy, settings, folder / "proxy.log"))
        wait_for("Prefect and MLflow run", folder / "serve.log", started[0])
        wait_for("serving initial configuration", folder / "proxy.log", started[1])
        root = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        yield Proxied(f"https://localhost:{https}", f"https://127.0.0.1:{https}", root)
    finally:
        for one in reversed(started):
            one.terminate()
            try:
                one.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(one.pid, signal.SIGKILL)
                one.wait()


def hashed() -> str:
    made = subprocess.run(
        ["caddy", "hash-password", "--plaintext", PASSWORD],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return made.stdout.strip()


def begun(command: list[str], settings: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as stream:
        return subprocess.Popen(
            command, env=settings, cwd=log.parent, stdin=subprocess.DEVNULL, stdout=stream,
            stderr=stream, start_new_session=True,
        )  # fmt: skip


def wait_for(line: str, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while line not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.skipif(NO_CADDY, reason="no caddy on this machine")
@pytest.mark.parametrize("server", sorted(PLACES))
def test_who_has_the_password_gets_in_and_nobody_else(proxied, server):
    url = getattr(proxied, server) + PLACES[server]
    answers = {said: proxied.status(url, said) for said in (None, "", "wrong", PASSWORD)}
    assert answers == {None: 401, "": 401, "wrong": 401, PASSWORD: 200}


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.skipif(NO_CADDY, reason="no caddy on this machine")
def test_the_clients_get_in_with_what_the_env_file_names(proxied, tmp_path):
    settings = {
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_API_URL": f"{proxied.prefect}/api",
        "PREFECT_API_AUTH_STRING": f"{USER}:{PASSWORD}",
        "PREFECT_API_SSL_CERT_FILE": str(proxied.root),
        "MLFLOW_TRACKING_URI": proxied.mlflow,
        "MLFLOW_TRACKING_USERNAME": USER,
        "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        "REQUESTS_CA_BUNDLE": str(proxied.root),
        "DO_NOT_TRACK": "1",
    }
    code = (
        "import json, mlflow\n"
        "from prefect.client.orchestration import get_client\n"
        "with get_client(sync_client=True) as client:\n"
        "    pools = len(client.read_work_pools())\n"
        "found = mlflow.MlflowClient().search_experiments()\n"
        "print(json.dumps([pools, [one.name for one in found]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **settings}, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, ["Default"]]
