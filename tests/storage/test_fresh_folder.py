"""A folder is made whole, by one process at a time, and what a killed one left is no hindrance."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import BusyError, WrongUseError
from storage.fresh_folder import fresh_folder

MAKER = """
import sys
from pathlib import Path
from storage.fresh_folder import fresh_folder

with fresh_folder(Path(sys.argv[1])) as fresh:
    (fresh / "mine").write_text("mine")
    print("ready", flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def maker(tmp_path):
    """Return another process that makes the folder until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAKER, str(tmp_path / "made")], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_who_makes_it_already_is_named_and_not_disturbed(maker, tmp_path):
    with (
        pytest.raises(BusyError, match=rf"process {maker.pid} makes it just now"),
        fresh_folder(tmp_path / "made"),
    ):
        pass
    assert names(tmp_path / ".made.partial") == ["mine"]
    maker.communicate()
    assert maker.returncode == 0
    assert names(tmp_path) == ["made"]


def test_what_a_killed_process_left_is_taken_over(maker, tmp_path):
    maker.send_signal(signal.SIGKILL)
    maker.wait()
    (tmp_path / ".made.partial" / "below").mkdir()
    with fresh_folder(tmp_path / "made") as fresh:
        assert names(fresh) == []
        (fresh / "ours").write_text("ours")
    assert names(tmp_path / "made") == ["ours"]
    assert names(tmp_path) == ["made"]


def test_what_is_there_by_now_stays(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "theirs").write_text("theirs")
    with (
        pytest.raises(WrongUseError, match="is there by now"),
        fresh_folder(tmp_path / "made"),
    ):
        pass
    assert names(tmp_path) == ["made"]
    assert names(tmp_path / "made") == ["theirs"]


def test_what_fails_leaves_nothing(tmp_path):
    def fail():
        with fresh_folder(tmp_path / "new" / "made") as fresh:
            (fresh / "half").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert names(tmp_path / "new") == []


def test_a_folder_that_was_put_in_its_place_as_we_took_it_is_not_ours(tmp_path, monkeypatch):
    import fcntl

    take, times = fcntl.flock, []

    def finished_meanwhile(descriptor, how):
        times.append(how)
        if len(times) == 1:
            (tmp_path / ".made.partial").rename(tmp_path / "other")
        take(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", finished_meanwhile)
    with fresh_folder(tmp_path / "made") as fresh:
        (fresh / "ours").write_text("ours")
    assert len(times) == 2
    assert names(tmp_path / "made") == ["ours"]
    assert names(tmp_path / "other") == []
