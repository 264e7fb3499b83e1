"""What can be shown of docker/ without an engine."""

import re
import shutil
import subprocess
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker" / "compose.yaml"
DOCKERFILE = ROOT / "docker" / "Dockerfile"
FILLED_IN = {
    "SIGNETFLOW_SLIDES": "/srv/slides",
    "SIGNETFLOW_DATASET": "nuclei",
    "SIGNETFLOW_PREFECT_HOST": "prefect.example.org",
    "SIGNETFLOW_MLFLOW_HOST": "mlflow.example.org",
    "SIGNETFLOW_PROXY_USER": "operator",
    "SIGNETFLOW_PROXY_HASH": "'$2a$14$made.up'",
}
needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None, reason="no docker-compose on this machine"
)


@pytest.fixture
def env_file(tmp_path):
    """Return an env file as its reader makes and fills it."""
    path = tmp_path / "signetflow.env"
    subprocess.run(["sh", ROOT / "deployments" / "new-env.sh", path], check=True)
    text = path.read_text()
    for name, value in FILLED_IN.items():
        assert f"\n{name}=\n" in text
        text = text.replace(f"\n{name}=\n", f"\n{name}={value}\n")
    path.write_text(text)
    return path


def config(env_file, *profiles):
    asked = [word for name in profiles for word in ("--profile", name)]
    return subprocess.run(
        ["docker-compose", "--env-file", env_file, "-f", COMPOSE, *asked, "config"],
        capture_output=True, text=True, check=False, timeout=60, cwd=env_file.parent,
    )  # fmt: skip


@needs_compose
@pytest.mark.parametrize("profiles", [(), ("gpu",)], ids=["cpu", "gpu"])
def test_compose_takes_the_filled_in_env_file(env_file, profiles):
    done = config(env_file, *profiles)
    assert done.returncode == 0, done.stderr
    assert "variable is not set" not in done.stderr


@needs_compose
@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "SIGNETFLOW_PROXY_HASH"])
def test_compose_refuses_an_empty_secret(env_file, name):
    empty = re.sub(rf"^{name}=.*$", f"{name}=", env_file.read_text(), flags=re.MULTILINE)
    env_file.write_text(empty)
    done = config(env_file)
    assert done.returncode != 0
    assert name in done.stderr


def test_an_env_file_has_new_passwords_that_only_its_owner_can_read(tmp_path):
    made = []
    for name in ("one.env", "two.env"):
        subprocess.run(
            ["sh", ROOT / "deployments" / "new-env.sh", tmp_path / name], check=True, umask=0
        )
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        made += re.findall(r"^\w+_PASSWORD=(.+)$", (tmp_path / name).read_text(), re.MULTILINE)
    assert len(set(made)) == 6
    assert all(re.fullmatch(r"[0-9a-f]{48}", one) for one in made)


def test_an_env_file_that_is_there_is_not_written_over(tmp_path):
    path = tmp_path / "signetflow.env"
    path.write_text("mine")
    done = subprocess.run(
        ["sh", ROOT / "deployments" / "new-env.sh", path], capture_output=True, check=False
    )
    assert done.returncode != 0
    assert path.read_text() == "mine"


def test_what_the_dockerfile_copies_is_let_through_to_the_engine():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    let_through = {Path(line[1:]) for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    sources = [Path(one) for words in copied for one in words.split()]
    assert all((ROOT / one).exists() for one in sources)
    inside = {one for one in sources for made in let_through if one in (made, *made.parents)}
    assert set(sources) - inside == set()


def test_the_image_pins_what_torch_brings_along_as_it_is_installed_here():
    lines = (ROOT / "requirements-gpu.txt").read_text().splitlines()
    pins = {canonicalize_name(one.name): str(one.specifier) for one in map(Requirement, lines)}
    brought = re.compile(r"nvidia-|cuda-|triton$")
    installed = {
        canonicalize_name(one.name): f"=={one.version}"
        for one in distributions()
        if brought.match(canonicalize_name(one.name))
    }
    assert installed
    assert {name: pins.get(name) for name in installed} == installed
