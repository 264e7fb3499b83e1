"""On what a network runs: settings that are light enough to validate without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from models.settings import Settings


class RuntimeSettings(Settings):
    """Device, precision and threads; ``auto`` is decided by `models.runtime.resolve`."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto``: CUDA where there is a device, else the CPU."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: bf16 where the hardware multiplies it (4 to 6 times faster on a CPU), else fp32."""
    threads: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """``auto``: the physical cores that this process may use."""
