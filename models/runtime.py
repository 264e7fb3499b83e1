"""On what a network runs, with everything ``auto`` decided.

The resolved values, not the word ``auto``, belong in a stage's key: they change its numbers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import psutil
import torch

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
    allowed = len(os.sched_getaffinity(0))
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def _resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise ConfigError(
            "device: cuda was asked for, but torch sees no CUDA device here. "
            "Set device to auto or cpu, or check the driver with nvidia-smi."
        )
    return "cpu"


def _best_precision(device: Literal["cpu", "cuda"]) -> Precision:
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    # Private names: torch 2.14 has no public question for either.
    multiplies_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if multiplies_bf16 else "fp32"
