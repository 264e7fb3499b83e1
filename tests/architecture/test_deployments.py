"""The shipped set-ups hold together: compose, units, proxy and env file name the same things."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.operations import Wish, _variables
from flows.serving import Serving
from storage.layout import Workspace
from tests.flows.test_operations_doc import wrong

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker" / "compose.yaml"
CADDYFILE = ROOT / "docker" / "Caddyfile"
DOCKERFILE = ROOT / "docker" / "Dockerfile"
EXAMPLE = ROOT / "deployments" / "signetflow.env.example"
UNITS = sorted((ROOT / "deployments" / "systemd").glob("*.service"))
PREFECT_FILE = ROOT / "deployments" / "prefect.yaml"
OURS = ("flows", "tasks", "storage", "models")
SECRET = re.compile(
    r"PASSWORD|SECRET|HASH|AUTH_STRING|ACCESS_KEY|TOKEN|WEBHOOK|CONNECTION_URL|BACKEND_STORE_URI"
)
S3 = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
UNIT_NEEDS = {
    "signetflow-serve": {"PREFECT_SERVER_DATABASE_CONNECTION_URL", "MLFLOW_BACKEND_STORE_URI"} | S3,
    "signetflow-worker@": {"PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_PASSWORD"},
    "signetflow-proxy": {"SIGNETFLOW_PROXY_HASH"},
}
"""The secrets that each unit is given; no other."""
SERVICE_NEEDS = {
    "postgres": {"POSTGRES_PASSWORD", "PREFECT_DB_PASSWORD", "MLFLOW_DB_PASSWORD"},
    "prefect": {"PREFECT_DB_PASSWORD"},
    "mlflow": {"MLFLOW_DB_PASSWORD"} | S3,
    "proxy": {"SIGNETFLOW_PROXY_HASH"},
    "bootstrap": {"SIGNETFLOW_WEBHOOK"},
    "cpu-worker": set(),
    "gpu-worker": set(),
}
THIRD_PARTY = re.compile(r"^(PREFECT_|MLFLOW_|HF_HOME$|REQUESTS_CA_BUNDLE$|COMPOSE_)")
NOT_FOR_WORKERS = {"SIGNETFLOW_WEBHOOK", "SIGNETFLOW_MLFLOW_ARTIFACTS"}
"""What the code reads from the env file while it sets up or serves, never in a run."""
HARDENING = {
    "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "CapabilityBoundingSet=",
    "RestrictSUIDSGID=yes", "KillMode=control-group", "TimeoutStopSec=",
    "EnvironmentFile=/etc/signetflow/signetflow.env", "Restart=",
}  # fmt: skip


def text(path):
    return path.read_text(encoding="utf-8")


def explained():
    return dict(re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", text(EXAMPLE), re.MULTILINE))


def services():
    return yaml.safe_load(text(COMPOSE))["services"]


def asked():
    named = set(re.findall(r"\$\{([A-Z0-9_]+)", text(COMPOSE)))
    passed = re.findall(r"^ +([A-Z][A-Z0-9_]+):$", text(COMPOSE), re.MULTILINE)
    proxy = re.findall(r"\{\$([A-Z0-9_]+)", text(CADDYFILE))
    return named | set(passed) | set(proxy)


def test_every_variable_that_is_asked_for_is_explained():
    assert asked() - set(explained()) == set()


def test_every_variable_that_is_explained_is_read_by_something():
    code = "".join(text(path) for path in (ROOT / "flows").rglob("*.py"))
    unread = {
        name
        for name in set(explained()) - asked()
        if not THIRD_PARTY.match(name) and name not in code
    }
    assert unread == set()


@pytest.mark.parametrize("name", ["cpu-worker", "gpu-worker"])
def test_a_worker_of_compose_is_told_what_the_env_file_offers_to_runs(name):
    code = "".join(text(path) for part in OURS for path in (ROOT / part).rglob("*.py"))
    read = {one for one in explained() if one.startswith("SIGNETFLOW_") and f'"{one}"' in code}
    assert {"SIGNETFLOW_WORKSPACE", "SIGNETFLOW_METRICS"} <= read
    assert read - NOT_FOR_WORKERS - set(services()[name]["environment"]) == set()


@pytest.mark.parametrize("profile", [None, "gpu"])
def test_somebody_works_where_the_runs_of_compose_are_sent(profile):
    given = {"SIGNETFLOW_GPUS": "1"} if profile else {}
    [gpus] = [one for one in services()["bootstrap"]["command"] if one.startswith("--gpus=")]
    filled = re.sub(r"\$\{(\w+):-(\w+)\}", lambda found: given.get(found[1], found[2]), gpus)
    wish = Wish({}, ROOT, n_gpus=int(filled.removeprefix("--gpus=")))
    there = [one for one in services().values() if one.get("profiles", [profile]) == [profile]]
    manned = [" ".join(one.get("command", [])) for one in there]
    sent = dict(_variables(wish))["signetflow_pool"]
    assert any(re.match(rf"prefect worker start --pool[ =]{sent}\b", one) for one in manned)


def test_no_secret_of_the_env_file_has_a_default():
    given = re.findall(r"^([A-Z][A-Z0-9_]+)=(.+)$", text(EXAMPLE), re.MULTILINE)
    assert [name for name, _ in given if SECRET.search(name)] == []
    shown = [name for name, value in explained().items() if SECRET.search(name) and value]
    assert all(":PASSWORD@" in explained()[name] for name in shown), shown


def secrets():
    return {name for name in explained() if SECRET.search(name)}


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_given_its_own_secrets_alone(unit):
    # UnsetEnvironment= is applied last, to what EnvironmentFile= gave as well (systemd.exec(5)).
    left_out = " ".join(re.findall(r"^UnsetEnvironment=(.*)$", text(unit), re.MULTILINE)).split()
    assert secrets() - set(left_out) == UNIT_NEEDS[unit.stem]
    assert set(left_out) <= secrets(), "left out, but nobody explains it"


def test_units_with_different_secrets_run_as_different_users():
    users = re.findall(r"^User=(.+)$", "".join(text(unit) for unit in UNITS), re.MULTILINE)
    assert sorted(users) == ["signetflow", "signetflow-proxy", "signetflow-servers"]


def test_a_service_of_compose_is_given_its_own_secrets_alone():
    found = {
        name: {one for one in secrets() if re.search(rf"\b{one}\b", given(service))}
        for name, service in services().items()
    }
    assert found == SERVICE_NEEDS


def given(service):
    """Return the values of a service that Compose fills in, and the names that it hands on."""
    assert "env_file" not in service
    handed = [name for name, value in service.get("environment", {}).items() if value is None]
    filled = re.findall(r"\$\{([A-Z0-9_]+)", yaml.safe_dump(service))
    return " ".join([*handed, *filled])


def test_no_secret_of_compose_has_a_default_or_is_written_out():
    for name, default in re.findall(r"\$\{([A-Z0-9_]+)(:?-[^}]+)?", text(COMPOSE)):
        assert not (SECRET.search(name) and default), name
    for service in services().values():
        for name, value in service.get("environment", {}).items():
            assert not SECRET.search(name) or not value or "${" in value, name
    assert not re.search(r"://[^:/\s]+:[^$@\s]+@", text(COMPOSE))


def test_the_proxys_is_the_only_published_port():
    assert [name for name, one in services().items() if one.get("ports")] == ["proxy"]
    assert all(one.get("network_mode") != "host" for one in services().values())


def test_every_image_is_named_with_a_version():
    images = [one["image"] for one in services().values()]
    stage = r"^FROM (\S+)(?: AS (\w+))?$"
    based = re.findall(stage, text(DOCKERFILE), re.MULTILINE)
    images += [
        base for base, _ in based if base not in {"${VARIANT}", *(name for _, name in based)}
    ]
    assert [one for one in images if ":" not in one or "latest" in one] == []


def test_every_service_but_the_one_that_ends_is_started_again():
    again = {name for name, one in services().items() if one["restart"] == "unless-stopped"}
    assert set(services()) - again == {"bootstrap"}


def test_the_image_does_not_run_as_root():
    users = re.findall(r"^USER (\S+)", text(DOCKERFILE), re.MULTILINE)
    assert users == ["${USER_ID}:${GROUP_ID}"]
    numbers = dict(re.findall(r"^ARG (USER_ID|GROUP_ID)=(\d+)$", text(DOCKERFILE), re.MULTILINE))
    assert all(int(number) > 0 for number in numbers.values())
    assert len(numbers) == 2


def test_a_folder_in_memory_that_is_private_in_the_image_belongs_to_its_user():
    # An engine may give it the mode of the folder that it covers, whatever mode is asked for.
    mounts = [one for each in services().values() for one in each.get("tmpfs", [])]
    private = [one for one in mounts if one.startswith("/var/lib/signetflow/")]
    ids = "uid=${SIGNETFLOW_UID:-10001},gid=${SIGNETFLOW_GID:-10001}"
    assert private
    assert [one for one in private if ids not in one] == []


def test_the_images_of_a_host_share_what_they_install():
    variables = [line for line in text(DOCKERFILE).splitlines() if "NVIDIA_VISIBLE" in line]
    after = text(DOCKERFILE).partition(variables[0])[2]
    assert len(variables) == 2
    assert not re.search(r"^(RUN|COPY) ", after, re.MULTILINE)


def test_the_code_lies_above_the_packages_so_that_an_upgrade_copies_no_packages():
    making, _, final = text(DOCKERFILE).partition("AS either\n")
    code = r"^COPY .*\b(?:flows|tasks|storage|models)/"
    assert not re.search(code, making, re.MULTILINE)
    before, found, after = final.partition("COPY --from=packages /opt/venv")
    assert found
    assert not re.search(code, before, re.MULTILINE)
    assert re.search(code, after, re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_gives_up_what_it_does_not_need(unit):
    lines = text(unit).splitlines()
    missing = {one for one in HARDENING if not any(line.startswith(one) for line in lines)}
    assert missing == set()


def started(unit):
    """Return the words of what a unit starts, without the folder of the command."""
    command, *words = re.findall(r"^ExecStart=(.*)$", text(unit), re.MULTILINE)[0].split()
    return [Path(command).name, *words]


def set_by(unit):
    """Return what a unit sets itself; of what the env file sets as well, that is taken."""
    lines = re.findall(r"^Environment=(.*)$", text(unit), re.MULTILINE)
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


def test_a_unit_finds_the_servers_of_its_host_even_if_the_env_file_names_none():
    worker, proxy = (
        set_by(ROOT / "deployments" / "systemd" / f"signetflow-{name}.service")
        for name in ("worker@", "proxy")
    )
    served = Serving(Workspace(ROOT))
    assert worker["PREFECT_API_URL"] == served.prefect_url
    assert worker["MLFLOW_TRACKING_URI"] == served.mlflow_url
    # The Caddyfile's own default is the names that compose gives them.
    assert proxy["SIGNETFLOW_PREFECT_UPSTREAM"] == f"{served.host}:{served.prefect_port}"
    assert proxy["SIGNETFLOW_MLFLOW_UPSTREAM"] == f"{served.host}:{served.mlflow_port}"


def test_the_unit_of_the_servers_starts_a_command_that_there_is():
    unit = ROOT / "deployments" / "systemd" / "signetflow-serve.service"
    assert wrong(started(unit)[1:]) == ""
    assert "--log-here" in started(unit)  # nothing else would ever shorten its logs


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_started_again_however_it_ended_and_however_often(unit):
    assert {"Restart=always", "StartLimitIntervalSec=0"} <= set(text(unit).splitlines())


def test_workers_of_a_host_share_the_folder_of_the_slots():
    worker = text(ROOT / "deployments" / "systemd" / "signetflow-worker@.service")
    assert "PrivateTmp=no" in worker.splitlines()
    mounts = [services()[name]["volumes"] for name in ("cpu-worker", "gpu-worker")]
    assert all(any(str(one).startswith("slots:/tmp/") for one in each) for each in mounts)


@pytest.mark.server
@pytest.mark.xdist_group("prefect")
def test_every_entrypoint_of_the_deployments_loads(tmp_path):
    entrypoints = [one["entrypoint"] for one in yaml.safe_load(text(PREFECT_FILE))["deployments"]]
    code = (
        "import sys\nfrom prefect.flows import load_flow_from_entrypoint as load\n"
        "print(*[load(one, use_placeholder_flow=False).name for one in sys.argv[1:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *entrypoints], cwd=ROOT, capture_output=True, text=True,
        check=False, env={"PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1"},
    )  # fmt: skip
    assert done.stdout.split() == [one.rpartition(":")[2] for one in entrypoints], done.stderr
