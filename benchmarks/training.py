"""The training loop, reading regions, against a bare loop on one batch that lies in memory.

Run with ``python -m benchmarks.training``, with ``--threads N``, ``--batch N``, ``--steps N`` and
``--rounds N`` if wanted. Both loops train smp's ResNet-34 U-Net on 512 crops in bf16 and
channels_last with the same loss, optimiser and threads; their turns alternate, so that foreign load
falls on both. On a CUDA device where there is one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.annotations import Role
from models.losses.cross_entropy_iou import cross_entropy_iou
from models.networks.registry import build
from models.networks.settings import NetworkSettings
from models.runtime import Runtime, physical_cores
from models.training.loop import Hooks, computing, train
from models.training.sampling import Randomness
from models.training.settings import TrainingSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

NETWORK = NetworkSettings(encoder="resnet34", weights="random")
CROP_PX = 512
REGION_PX = 2048
N_REGIONS = 4
TARGET = 0.9


class ArrayRegions:
    """Regions in memory: noise, with a grid of cells."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        shape = REGION_PX, REGION_PX
        self.images = [
            random.integers(0, 256, (*shape, 3), dtype=np.uint8) for _ in range(N_REGIONS)
        ]
        y, x = np.mgrid[:REGION_PX, :REGION_PX] % 64
        distance = np.hypot(y - 32, x - 32)
        self.classes = np.where(distance < 12, 2, np.where(distance < 15, 1, 0)).astype(np.uint8)

    def __len__(self) -> int:
        return N_REGIONS

    def shape(self, index: int) -> tuple[int, int]:
        """Return height and width."""
        height, width = self.images[index].shape[:2]
        return height, width

    def role(self, index: int) -> Role:
        """Return positive and negative in turn."""
        return Role.NEGATIVE if index % 2 else Role.POSITIVE

    def read(
        self, index: int, y0: int, x0: int, height: int, width: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image and classes of a part."""
        part = slice(y0, y0 + height), slice(x0, x0 + width)
        return self.images[index][part], self.classes[part]

    def centres(self, index: int) -> NDArray[np.int64]:
        """Return the middles of the grid's cells."""
        del index
        return np.argwhere(np.ones((REGION_PX // 64, REGION_PX // 64))) * 64 + 32


def now(runtime: Runtime) -> float:
    """Return the time, once the device has done what it was given."""
    if runtime.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def ours(runtime: Runtime, settings: TrainingSettings, source: ArrayRegions) -> float:
    """Return seconds per step of the product's loop, reading and augmenting included."""
    n_steps = settings.epochs * (settings.steps_per_epoch or 1)
    marks: list[float] = []

    def report(event: dict[str, Any]) -> None:
        if event.get("kind") == "step" and event["step"] in {1, n_steps}:
            marks.append(now(runtime))

    train(
        build(NETWORK, 0), source, settings, Randomness(0, "bench"), runtime, Hooks(report=report)
    )
    return (marks[1] - marks[0]) / (n_steps - 1)


def bare(runtime: Runtime, settings: TrainingSettings) -> float:
    """Return seconds per step of a bare loop on one batch of ready floats."""
    network = build(NETWORK, 0).body.to(runtime.device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    images = torch.rand(settings.batch, 3, CROP_PX, CROP_PX, device=runtime.device)
    images = images.contiguous(memory_format=torch.channels_last)
    classes = torch.zeros(settings.batch, CROP_PX, CROP_PX, dtype=torch.uint8)
    classes[:, 100:200, 100:200], classes[:, 110:190, 110:190] = 1, 2
    classes = classes.to(runtime.device)
    n_steps = settings.steps_per_epoch or 1
    started = 0.0
    with computing(runtime):
        for step in range(n_steps):
            with torch.autocast(runtime.device, torch.bfloat16):
                logits = network(images)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(cross_entropy_iou(logits, classes))
            optimiser.step()
            if step == 0:
                started = now(runtime)
        return (now(runtime) - started) / (n_steps - 1)


def main(argv: list[str]) -> int:
    """Print one line of JSON; exit code 1 where the target is missed."""
    on_cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--batch", type=int, default=16 if on_cuda else 2)
    parser.add_argument("--steps", type=int, default=40 if on_cuda else 6)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(argv)
    runtime = Runtime("cuda" if on_cuda else "cpu", "bf16", asked.threads)
    settings = TrainingSettings(
        crop_px=CROP_PX, batch=asked.batch, epochs=1, steps_per_epoch=asked.steps
    )
    source = ArrayRegions()
    pairs = [
        (bare(runtime, settings), ours(runtime, settings, source)) for _ in range(asked.rounds)
    ]
    ratio = statistics.median(without / with_ for without, with_ in pairs)
    result = {
        "figure": "training loop, of a bare loop on one batch in memory",
        "device": runtime.device,
        "threads": runtime.threads,
        "batch": asked.batch,
        "crops_per_s": round(asked.batch / statistics.median(mine for _, mine in pairs), 2),
        "bare_crops_per_s": round(asked.batch / statistics.median(plain for plain, _ in pairs), 2),
        "ratio": round(ratio, 3),
        "ratios": [round(without / with_, 3) for without, with_ in pairs],
        "target": TARGET,
    }
    print(json.dumps(result))
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
