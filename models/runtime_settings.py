"""On what a network runs: settings that are light enough to validate without torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from models.settings import Settings


class DaskSettings(Settings):
    """A Dask cluster that is there already, for what CPUs do with the blocks of slides."""

    address: str = Field(pattern=r"^(tcp|tls|ws|wss)://[^\s/]+:\d{1,5}$")
    """Of its scheduler, such as ``tcp://10.0.0.5:8786``."""


class RuntimeSettings(Settings):
    """Device, precision and threads; ``auto`` is decided by `models.runtime.resolve`."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto``: CUDA where there is a device, else the CPU."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto``: bf16 where the hardware multiplies it (4 to 6 times faster on a CPU), else fp32."""
    threads: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """``auto``: the physical cores that this process may use."""
    dask: DaskSettings | None = Field(default=None, exclude=True)
    """By default threads of this process cut slides. Changes no result; no part of a key or run."""
