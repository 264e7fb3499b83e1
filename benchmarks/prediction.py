"""Windows to stitched probabilities, against the bare forward passes of as many windows.

Run with ``python -m benchmarks.prediction``.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from benchmarks.timing import seconds
from models.networks.registry import build
from models.networks.settings import NetworkSettings
from models.prediction.frozen import freeze
from models.prediction.grid import lay_windows
from models.prediction.settings import WindowSettings
from models.prediction.windows import predict
from models.runtime import Runtime, physical_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

WINDOWS = WindowSettings(window_px=1024, batch=1)
SIDE_PX = 1344
"""Two windows by two, of 1056 pixels: 384 of them overlap."""
ROUNDS = 5
TARGET = 0.9


class ArraySource:
    """A region in memory."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.image = image

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]

    def read(self, y0: int, x0: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return one block."""
        return self.image[y0 : y0 + height, x0 : x0 + width]


@torch.inference_mode()
def forward(network: nn.Module, windows: torch.Tensor, runtime: Runtime) -> None:
    """Run the eager network over windows that are ready in memory, and keep nothing."""
    with torch.autocast(runtime.device, torch.bfloat16):
        for first in range(0, len(windows), WINDOWS.batch):
            network(windows[first : first + WINDOWS.batch])
    if runtime.device == "cuda":
        torch.cuda.synchronize()


def measure() -> dict[str, float | str]:
    """Return the rates in windows per second and their ratio, medians of interleaved rounds."""
    device: Literal["cpu", "cuda"] = "cuda" if torch.cuda.is_available() else "cpu"
    runtime = Runtime(device, "bf16", physical_cores())
    torch.set_num_threads(runtime.threads)
    network = build(NetworkSettings(family="unet", encoder="resnet34", weights="random"), seed=0)
    network = network.eval().to(device).to(memory_format=torch.channels_last)
    image = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    source = ArraySource(image)
    axis = lay_windows(0, SIDE_PX, WINDOWS, network.border_px)
    n_windows = len(axis.starts) ** 2
    windows = torch.rand(n_windows, 3, axis.side, axis.side, device=device)
    windows = windows.to(memory_format=torch.channels_last)
    frozen = freeze(network, runtime)
    bare_s, ours_s, with_freeze_s = [], [], []
    for _ in range(ROUNDS + 1):
        bare_s.append(seconds(lambda: forward(network, windows, runtime)))
        ours_s.append(seconds(lambda: predict(frozen, source, WINDOWS, runtime)))
        with_freeze_s.append(seconds(lambda: predict(network, source, WINDOWS, runtime)))
    # The first round warms up. Ratios are taken within a round: both saw the same machine.
    ratios = [bare / ours for bare, ours in zip(bare_s[1:], ours_s[1:], strict=True)]
    unprepared = [bare / ours for bare, ours in zip(bare_s[1:], with_freeze_s[1:], strict=True)]
    return {
        "figure": "windows to stitched probabilities, of the bare eager forward pass",
        "device": device,
        "threads": runtime.threads,
        "ratio": statistics.median(ratios),
        "ratio_freezing_each_time": statistics.median(unprepared),
        "target": TARGET,
        "windows_per_s": n_windows / statistics.median(ours_s[1:]),
        "bare_windows_per_s": n_windows / statistics.median(bare_s[1:]),
    }


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=2)
