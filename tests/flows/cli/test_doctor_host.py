"""What the doctor says of a worker's host."""

import os
import shutil
from collections import namedtuple

import psutil
import pytest

from flows.cli import doctor_host
from flows.cli.doctor_host import check_gpu, check_memory, check_permissions
from storage.layout import Workspace
from storage.ledger import Ledger

GIB = 2**30
ONE = {"name": "H100", "total": 80 * GIB, "free": 79 * GIB, "error": ""}


def test_a_gpu_that_the_driver_has_and_torch_cannot_use_is_a_warning(monkeypatch):
    from models import runtime

    monkeypatch.setattr(runtime, "cuda_capability", lambda: (9, 0))
    assert check_gpu({"cards": []}).verdict == "warn"
    assert check_gpu({"error": "no torch"}).verdict == "warn"
    monkeypatch.setattr(runtime, "cuda_capability", lambda: None)
    assert check_gpu({"cards": []}).verdict == "ok"


def test_every_gpu_is_named_with_its_free_memory():
    seen = check_gpu({"cards": [ONE, ONE | {"name": "A10", "total": 24 * GIB, "free": 23 * GIB}]})
    assert seen == ("gpu", "ok", "0 H100, 79 of 80 GiB free; 1 A10, 23 of 24 GiB free", "")


def test_a_gpu_that_somebody_uses_is_a_warning_and_one_that_cannot_compute_a_failure():
    taken = check_gpu({"cards": [ONE, ONE | {"free": 2 * GIB}]})
    assert taken.verdict == "warn"
    assert "GPU [1] is in use" in taken.advice
    broken = check_gpu({"cards": [ONE | {"error": "uncorrectable ECC error"}]})
    assert broken.verdict == "fail"
    assert "0: uncorrectable ECC error" in broken.advice


@pytest.mark.parametrize(
    ("free", "shared", "verdict", "advice"),
    [(64, 8, "ok", ""), (1, 8, "warn", "the kernel kills"), (64, 0.06, "warn", "SIGNETFLOW_SHM")],
)
def test_little_memory_is_a_warning(monkeypatch, tmp_path, free, shared, verdict, advice):
    memory = namedtuple("memory", "available")(free * GIB)
    usage = shutil.disk_usage(tmp_path)._replace(free=int(shared * GIB))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    check = check_memory(tmp_path)
    assert check.verdict == verdict
    assert advice in check.advice


def test_a_host_without_shared_memory_is_fine(tmp_path):
    assert "to share" not in check_memory(tmp_path / "none").seen


@pytest.fixture
def at(tmp_path):
    at = Workspace(tmp_path)
    Ledger(at).start_run("a" * 32, "mine", {}, 0.0)
    return at


def test_what_another_user_made_and_we_cannot_write_is_a_failure(at, monkeypatch):
    before = os.access
    monkeypatch.setattr(
        os, "access", lambda path, how: before(path, how) and "ledger" not in str(path)
    )
    check = check_permissions(at)
    assert check.verdict == "fail"
    assert "cannot write ledger, ledger/" in check.seen
    assert "chown -R" in check.advice


def test_root_is_warned_off_the_workspace_of_another(at, monkeypatch):
    assert check_permissions(Workspace(at.root / "none")).verdict == "ok"
    os.chown(at.root, os.getuid(), os.getgid())
    assert check_permissions(at).verdict == "ok"
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(doctor_host, "_writable", lambda path: True)
    monkeypatch.setattr(doctor_host, "_user", {0: "root", 4711: "signetflow"}.get)
    state = os.stat_result((0o40755, 0, 0, 1, 4711, 0, 0, 0, 0, 0))
    monkeypatch.setattr(type(at.root), "stat", lambda path, **words: state)
    check = check_permissions(at)
    assert (check.verdict, check.seen) == ("warn", "you are root, it is signetflow's")
