import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from models.errors import StoppedError, WorkspaceError
from storage.artefacts import commit, draft
from storage.layout import Kind, Workspace
from storage.locks import alone, exclusive, holders, named, shared, workspace_lock

HOLD = """
import sys, time
from pathlib import Path
from storage.layout import Workspace
from storage.locks import alone, exclusive, shared
how = {"exclusive": exclusive, "alone": alone, "shared": shared}[sys.argv[1]]
path = Path(sys.argv[2])
with how(path if how is exclusive else Workspace(path)):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "locks" / "key.lock"


@pytest.fixture
def hold():
    """Return a function that starts a process which holds a lock, or has a workspace."""
    started = []

    def start(how, path):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, how, str(path)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def is_free(path):
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_a_lock_keeps_another_process_out_and_dies_with_its_holder(hold, path):
    process = hold("exclusive", path)
    assert not is_free(path)
    end(process)
    with exclusive(path):
        assert not is_free(path)
    assert is_free(path)


def test_a_child_does_not_keep_the_lock_of_its_parent(path):
    with exclusive(path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_free(path)
    child.communicate(b"\n")


def test_a_lock_is_freed_by_an_error(path):
    with pytest.raises(ZeroDivisionError), exclusive(path):
        raise ZeroDivisionError
    assert is_free(path)


def test_who_waits_hears_whom_it_waits_for_and_may_give_up(hold, path):
    process = hold("exclusive", path)
    heard = []

    def waiting(who):
        heard.append(who)
        if len(heard) == 2:
            raise StoppedError("stopped")

    with pytest.raises(StoppedError), exclusive(path, waiting):
        raise AssertionError("two hold one lock")
    assert heard == [f"process {process.pid}"] * 2
    end(process)
    with exclusive(path, waiting):
        assert len(heard) == 2  # nobody to wait for


def test_who_waits_goes_on_soon_after_the_holder_was_killed(hold, path):
    process = hold("exclusive", path)
    threading.Timer(0.3, process.kill).start()
    started = time.monotonic()
    with exclusive(path):
        assert time.monotonic() - started < 5


def test_holders_are_those_who_have_the_file_locked(hold, path, tmp_path):
    assert holders(path) == ()
    process = hold("exclusive", path)
    assert holders(path) == (process.pid,)
    (tmp_path / "other").touch()
    assert holders(tmp_path / "other") == ()
    with exclusive(tmp_path / "other"):
        assert holders(tmp_path / "other") == (os.getpid(),)


@pytest.mark.parametrize(("pids", "text"), [
    ((), "another process"), ((7,), "process 7"), ((7, 8), "processes 7, 8"),
])  # fmt: skip
def test_processes_are_named_for_a_reader(pids, text):
    assert named(pids) == text


def test_many_use_a_workspace_and_nobody_has_it_alone_meanwhile(at, hold):
    first, second = hold("shared", at.root), hold("shared", at.root)
    with pytest.raises(WorkspaceError, match=rf"processes {min(first.pid, second.pid)}, .* uses"):
        alone(at).__enter__()
    end(first)
    with pytest.raises(WorkspaceError, match=rf"process {second.pid} uses the workspace"):
        alone(at).__enter__()
    end(second)
    with alone(at):
        assert holders(workspace_lock(at)) == (os.getpid(),)
    assert is_free(workspace_lock(at))


def test_who_uses_a_workspace_waits_for_who_has_it_alone_and_says_so(at, hold, caplog):
    process = hold("alone", at.root)
    threading.Timer(0.3, process.kill).start()
    with shared(at):
        pass
    (said,) = caplog.messages
    assert f"is being cleaned or migrated by process {process.pid}" in said


def test_what_is_alone_may_write_artefacts_itself(at):
    with alone(at), draft(at, Kind.CARD) as work:
        (work.path / "a.txt").write_text("a")
        commit(at, Kind.CARD, work)
    assert is_free(workspace_lock(at))


def test_a_draft_keeps_out_who_wants_the_workspace_alone(at):
    with draft(at, Kind.CARD), pytest.raises(WorkspaceError, match="needs it alone"):
        alone(at).__enter__()
    with alone(at):
        pass


def test_a_lock_under_a_file_is_a_workspace_error(at):
    at.root.write_text("a file")
    with pytest.raises(WorkspaceError, match="the lock cannot be made"), shared(at):
        pass
