"""Two processes of one pool, of which Prefect believes that one is dead."""

import subprocess
import sys

import pytest

from flows.slots import in_slot
from models.errors import ConfigError

HOLD = "import sys\nfrom flows.slots import in_slot\nwith in_slot():\n    print('in', flush=True)\n    sys.stdin.read()"  # noqa: E501  # a program in one line


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("SIGNETFLOW_SLOT", "gpu0")


def holder():
    return subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_the_second_waits_until_the_first_has_gone(pool):
    first = holder()
    assert first.stdout.readline() == "in\n"
    second = holder()
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    first.kill()
    assert second.stdout.readline() == "in\n"
    second.communicate("")
    first.communicate()


def test_without_a_pool_nothing_is_held(monkeypatch, tmp_path):
    monkeypatch.delenv("SIGNETFLOW_SLOT", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with in_slot(), in_slot():
        assert list(tmp_path.iterdir()) == []


def test_a_slot_cannot_be_a_path(pool, monkeypatch):
    monkeypatch.setenv("SIGNETFLOW_SLOT", "../gpu0")
    with pytest.raises(ConfigError, match="letters"), in_slot():
        pass
