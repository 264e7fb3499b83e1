"""On what a network runs, with everything ``auto`` decided.

The resolved values, not the word ``auto``, belong in a stage's key: they change its numbers. The
hardware is asked without torch, so that a run whose stages are all done never imports it.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from models.errors import ConfigError

if TYPE_CHECKING:
    from models.runtime_settings import RuntimeSettings

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, slots=True)
class Runtime:
    """Device, precision and threads that a network runs with."""

    device: Literal["cpu", "cuda"]
    """Kind of device, as torch names it."""
    precision: Precision
    """What convolutions and products are computed in; losses and softmax stay in fp32."""
    threads: int
    """Threads of torch on the CPU."""


def resolve(settings: RuntimeSettings) -> Runtime:
    """Decide everything that is ``auto``.

    Raises
    ------
    ConfigError
        If the settings ask for CUDA and there is no device.
    """
    device = _resolve_device(settings.device)
    precision = settings.precision
    return Runtime(
        device=device,
        precision=_best_precision(device) if precision == "auto" else precision,
        threads=physical_cores() if settings.threads == "auto" else settings.threads,
    )


def physical_cores() -> int:
    """Return how many physical cores this process may use, at least 1."""
    import psutil

    allowed = len(os.sched_getaffinity(0))
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def _resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    if wanted == "cpu":
        return "cpu"
    if cuda_capability() is not None:
        return "cuda"
    if wanted == "cuda":
        raise ConfigError(
            "device: cuda was asked for, but the driver shows no CUDA device here. "
            "Set device to auto or cpu, or check the driver with nvidia-smi."
        )
    return "cpu"


def cuda_capability() -> tuple[int, int] | None:
    """Return the compute capability of the first CUDA device, or None without one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    if driver.cuInit(0) != 0:
        return None
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    # 75 and 76 are CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
    answers = (
        driver.cuDeviceGet(ctypes.byref(device), 0),
        driver.cuDeviceGetAttribute(ctypes.byref(major), 75, device),
        driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, device),
    )
    return None if any(answers) else (major.value, minor.value)


def _best_precision(device: Literal["cpu", "cuda"]) -> Precision:
    if device == "cuda":
        # Ampere (8.0) is the first that multiplies bf16.
        return "bf16" if (cuda_capability() or (0, 0)) >= (8, 0) else "fp32"
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="ascii").split())
    except OSError:
        return "fp32"
    return "bf16" if flags & {"avx512_bf16", "amx_bf16"} else "fp32"
