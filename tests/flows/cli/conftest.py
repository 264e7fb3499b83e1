"""One real demo for all tests here, run as a user runs it, and a configured small ground."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.layout import Workspace

ROOT = Path(__file__).resolve().parents[3]
MARK = "SIGNETFLOW_TEST"
"""A variable that every process of a command inherits."""


def environment(mark: str = "") -> dict[str, str]:
    """Return the environment of a user who has set nothing."""
    kept = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "SIGNETFLOW_"))
    }  # fmt: skip
    return kept | {MARK: mark}


def run_command(*words: object, mark: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *map(str, words)],
        cwd=ROOT, env=environment(mark), capture_output=True, text=True, check=False,
    )  # fmt: skip


def alive(mark: str) -> list[psutil.Process]:
    """Return the processes that a command has left behind."""
    return [process for process in psutil.process_iter() if _has(process, mark)]


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


@pytest.fixture(scope="session")
def signetflow() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs a command as a user does."""
    return run_command


@dataclass(frozen=True)
class Demo:
    """A finished ``signetflow demo --size tiny``."""

    at: Workspace
    words: tuple[object, ...]
    """The command."""
    done: subprocess.CompletedProcess[str]
    seconds: float
    left: tuple[str, ...]
    """Processes that were still there after the command."""

    @property
    def answer(self) -> dict[str, Any]:
        """Return the JSON object that it printed."""
        answer: dict[str, Any] = json.loads(self.done.stdout)
        return answer

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of its table."""
        rows: list[dict[str, Any]] = self.answer["rows"]
        return rows


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Return the tiny demo, through the real embedded Prefect and MLflow; leave it as it is."""
    from storage.layout import Workspace

    at = Workspace(tmp_path_factory.mktemp("demo") / "work space")
    words = ("demo", "--size", "tiny", "--workspace", at.root, "--json")
    mark, started = uuid.uuid4().hex, time.monotonic()
    done = run_command(*words, mark=mark)
    seconds = time.monotonic() - started
    left = tuple(" ".join(process.cmdline()) for process in alive(mark))
    assert done.returncode == 0, done.stderr
    return Demo(at, words, done, seconds, left)


@pytest.fixture
def preset(own_ground: Any, tmp_path: Path) -> Path:
    """Return a preset that runs one network on the small ground."""
    content = own_ground.config.model_dump(mode="json")
    content |= {"arms": ["supervised"], "networks": {"a": content["networks"]["a"]}}
    path = tmp_path / "preset.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def snapshot() -> Callable[[Path], dict[str, tuple[int, int, bytes]]]:
    """Return a function that tells all there is in a folder, times included."""

    def take(folder: Path) -> dict[str, tuple[int, int, bytes]]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
            for path in files
        }

    return take
