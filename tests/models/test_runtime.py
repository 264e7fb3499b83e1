import ctypes
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from models import runtime
from models.errors import ConfigError
from models.runtime_settings import RuntimeSettings


def test_every_auto_is_decided():
    resolved = runtime.resolve(RuntimeSettings())
    assert resolved.device in {"cpu", "cuda"}
    assert resolved.precision in {"fp32", "bf16"}
    assert 1 <= resolved.threads <= len(os.sched_getaffinity(0))


def test_what_was_asked_for_is_kept():
    asked = RuntimeSettings(device="cpu", precision="fp32", threads=3)
    assert runtime.resolve(asked) == runtime.Runtime("cpu", "fp32", 3)


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("fpu avx512f", "fp32"), ("fpu avx512_bf16", "bf16"), ("amx_bf16 fpu", "bf16")],
)
def test_auto_precision_on_a_cpu_follows_its_instructions(monkeypatch, flags, precision):
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: f"flags : {flags}")
    assert runtime.resolve(RuntimeSettings(device="cpu")).precision == precision


@pytest.mark.parametrize(("capability", "precision"), [((8, 0), "bf16"), ((7, 5), "fp32")])
def test_auto_precision_on_cuda_follows_the_device(monkeypatch, capability, precision):
    monkeypatch.setattr(runtime, "cuda_capability", lambda: capability)
    resolved = runtime.resolve(RuntimeSettings())
    assert (resolved.device, resolved.precision) == ("cuda", precision)


def test_cuda_without_a_device_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(runtime, "cuda_capability", lambda: None)
    with pytest.raises(ConfigError, match="auto or cpu"):
        runtime.resolve(RuntimeSettings(device="cuda"))
    assert runtime.resolve(RuntimeSettings()).device == "cpu"


def test_a_machine_without_a_driver_has_no_cuda(monkeypatch):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert runtime.cuda_capability() is None


def test_the_hardware_is_asked_without_torch():
    code = (
        "import sys; from models.runtime import resolve; "
        "from models.runtime_settings import RuntimeSettings; resolve(RuntimeSettings()); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_auto_threads_never_exceed_the_cores_of_this_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    assert runtime.physical_cores() == 1


def test_auto_threads_count_physical_cores_and_not_their_siblings(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 4)
    assert runtime.physical_cores() == 4


@pytest.mark.parametrize("threads", [0, -1, "many"])
def test_a_wrong_thread_count_is_refused(threads):
    with pytest.raises(ValidationError):
        RuntimeSettings(threads=threads)


def test_runtime_settings_are_imported_without_torch():
    code = "import sys, models.runtime_settings; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False)  # fixed code
    assert done.returncode == 0
