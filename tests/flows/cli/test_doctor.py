from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import time
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from flows.cli import doctor, main
from flows.cli.doctor_servers import check_mlflow, check_prefect_server
from storage.layout import Workspace

if TYPE_CHECKING:
    from pathlib import Path

TORCH = {"torch": "2.14.1", "torchvision": "0.29.2", "cards": []}


@pytest.fixture
def at(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work" / "space")


@pytest.fixture(autouse=True)
def _no_servers(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def closed(monkeypatch):
    """Return an address of loopback on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/api"


def versions(monkeypatch: pytest.MonkeyPatch, **given: str | None) -> None:
    monkeypatch.setattr(doctor, "_version", given.get)


def test_this_environment_runs_torchvision_operators_and_fits_the_project():
    assert doctor.check_torch_pair(doctor.probe_torch()).verdict == "ok"
    for check in (doctor.check_python(), doctor.check_packages(), doctor.check_prefect_pair()):
        assert check.verdict == "ok", check


def test_a_healthy_machine_exits_with_zero_and_leaves_no_trace(at, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "probe_torch", lambda: TORCH)
    assert main(["doctor", "--json", "--workspace", str(at.root)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    assert [check["name"] for check in said["checks"]] == [
        "python", "packages", "pins", "prefect pair", "torch pair", "cpu", "gpu", "memory",
        "workspace", "permissions", "disk", "clock", "mlflow", "prefect", "server clocks", "pools",
        "weights",
    ]  # fmt: skip
    assert all(check["seen"] for check in said["checks"])
    assert list(at.root.parent.parent.iterdir()) == []


def test_one_failed_check_makes_the_exit_code_one_and_says_what_to_do(at, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "probe_torch", lambda: {"error": "no operator nms"})
    assert main(["doctor", "--workspace", str(at.root)]) == 1
    said = capsys.readouterr().out
    assert "no operator nms" in said
    assert "fail: torch pair: torch and torchvision are a pair; pip install" in said
    assert ", 1 fail" in said


def test_a_missing_package_or_one_outside_its_bounds_fails_and_is_named(monkeypatch):
    versions(monkeypatch, zarr="2.18.0")
    check = doctor.check_packages(["zarr>=3.1,<4", "dask>=2026.1", "pip>=1; python_version<'3'"])
    assert check.verdict == "fail"
    assert check.seen == "zarr 2.18.0, wanted <4,>=3.1; dask missing, wanted >=2026.1"


def test_versions_that_are_not_the_pinned_ones_are_a_warning(tmp_path, monkeypatch):
    pins = tmp_path / "requirements.txt"
    pins.write_text("# tested\n--no-binary x\na==1.0\nb==2.0 ; python_version < '3'\n")
    versions(monkeypatch, a="1.0")
    assert doctor.check_pins(pins).verdict == "ok"
    versions(monkeypatch, a="1.1")
    check = doctor.check_pins(pins)
    assert (check.verdict, check.seen) == ("warn", "a 1.1, wanted ==1.0")
    assert doctor.check_pins(tmp_path / "none.txt").verdict == "warn"


def test_many_versions_that_differ_are_counted_and_not_all_listed(tmp_path, monkeypatch):
    pins = tmp_path / "requirements.txt"
    pins.write_text("".join(f"package{n}==1.0\n" for n in range(8)))
    versions(monkeypatch)
    assert doctor.check_pins(pins).seen.endswith("package4 missing, wanted ==1.0 and 3 more")


def test_a_package_that_is_not_installed_has_no_version():
    assert doctor._version("surely-not-installed") is None
    assert doctor._version("numpy") == metadata.version("numpy")


@pytest.mark.parametrize(
    ("prefect", "fastapi", "verdict"),
    [
        ("3.8.8", "0.154.0", "ok"),
        ("3.8.8", "0.155.0", "fail"),
        ("3.9.1", "0.165.0", "ok"),
        ("3.8.8", None, "fail"),
    ],
)
def test_a_fastapi_that_breaks_prefect_is_found(monkeypatch, prefect, fastapi, verdict):
    versions(monkeypatch, prefect=prefect, fastapi=fastapi)
    assert doctor.check_prefect_pair().verdict == verdict


def test_an_old_python_fails(monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.4")
    assert doctor.check_python().verdict == "fail"


@pytest.mark.parametrize(
    ("script", "limit", "seen"),
    [
        ("import sys; sys.exit('first\\noperator torchvision::nms is missing')", 99, "operator"),
        ("import os; os._exit(9)", 99, "exit code 9"),
        ("import time; time.sleep(30)", 1, "no answer in 1 s"),
    ],
)
def test_a_torch_that_breaks_or_hangs_is_reported_in_its_last_line(
    monkeypatch, script, limit, seen
):
    monkeypatch.setattr(doctor, "TORCH_PROBE", script)
    monkeypatch.setattr(doctor, "TORCH_TIMEOUT_S", limit)
    check = doctor.check_torch_pair(doctor.probe_torch())
    assert check.verdict == "fail"
    assert check.seen.startswith(seen)


@pytest.mark.parametrize(("precision", "verdict"), [("bf16", "ok"), ("fp32", "warn")])
def test_a_cpu_without_bf16_is_a_warning(monkeypatch, precision, verdict):
    from models import runtime

    monkeypatch.setattr(runtime, "_best_precision", lambda device: precision)
    assert doctor.check_cpu().verdict == verdict


def test_a_workspace_below_a_file_fails(tmp_path):
    (tmp_path / "file").write_text("")
    check = doctor.check_folder(Workspace(tmp_path / "file" / "space"))
    assert check.verdict == "fail"
    assert "--workspace" in check.advice


@pytest.mark.parametrize(("free", "verdict"), [(2**40, "ok"), (2**30, "warn"), (2**20, "fail")])
def test_little_room_is_a_warning_and_none_is_a_failure(at, monkeypatch, free, verdict):
    usage = shutil.disk_usage(at.root.parent.parent)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    assert doctor.check_disk(at).verdict == verdict


def test_a_clock_behind_the_ledger_fails(at):
    at.ledger.mkdir(parents=True)
    ledger = at.ledger / "ledger.db"
    ledger.write_text("")
    assert doctor.check_clock(at).verdict == "ok"
    later = time.time() + 3600
    os.utime(ledger, (later, later))
    check = doctor.check_clock(at)
    assert check.verdict == "fail"
    assert "3600 s behind" in check.seen or "3599 s behind" in check.seen


def test_a_disk_whose_clock_differs_is_a_warning(at, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_disk_clock_offset", lambda place: -42.0)
    check = doctor.check_clock(at)
    assert (check.verdict, check.seen) == ("warn", "the disk's clock is -42 s from this machine's")
    monkeypatch.undo()
    assert abs(doctor._disk_clock_offset(tmp_path) or 0) < 5
    assert doctor._disk_clock_offset(tmp_path / "none") is None


def test_servers_that_are_away_are_a_warning_for_mlflow_and_a_failure_for_prefect(
    at, closed, monkeypatch
):
    assert check_mlflow(at).seen == "embedded in the workspace"
    assert check_prefect_server().seen.startswith("embedded")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed)
    monkeypatch.setenv("PREFECT_API_URL", closed.replace("//", "//me:secret@"))
    assert check_mlflow(at).verdict == "warn"
    prefect = check_prefect_server()
    assert prefect.verdict == "fail"
    assert "secret" not in prefect.seen


def test_cached_weights_are_found_where_the_hub_keeps_them(tmp_path, monkeypatch):
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert doctor.check_weights().verdict == "warn"
    for name in doctor.ENCODERS:
        (tmp_path / "hub" / name / "snapshots").mkdir(parents=True)
    assert doctor.check_weights().verdict == "ok"
