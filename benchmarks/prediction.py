"""Windows to stitched probabilities, and large regions to cells, against the bare forward passes.

Run with ``python -m benchmarks.prediction``. A region is predicted in blocks, and once more as it
would be in one piece: all windows, then all cells.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from benchmarks.seeded_maps import LARGE, draw_map
from benchmarks.timing import seconds
from models.geometry.tiles import Area, Window
from models.instances.settings import InstanceSettings
from models.merging.stitching import Stitcher
from models.methods.detector import Detector
from models.networks.registry import build
from models.networks.settings import NetworkSettings
from models.prediction.frozen import freeze, threads_of
from models.prediction.grid import lay_windows
from models.prediction.settings import WindowSettings
from models.prediction.windows import predict
from models.runtime import Runtime, physical_cores
from storage.blocks import MARGIN_PX, TOLERANCE_PX, cores_of
from storage.layout import Workspace
from tasks.looking import LookedAt, Opened, looking

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from models.prediction.protocols import BlockSource

WINDOWS = WindowSettings(window_px=1024, batch=1)
SIDE_PX = 1344
"""Two windows by two, of 1056 pixels: 384 of them overlap."""
ROUNDS = 5
TARGET = 0.9
REGIONS: tuple[tuple[Literal["unet", "tiny_resnet"], int, int], ...] = (
    ("tiny_resnet", 4096, 3),
    ("unet", 3072, 1),
)
"""Network, side and rounds: for the small one, finding cells takes longest in proportion."""
MEMORY_PX = 8192
"""The largest that `tiles.region_px` allows."""


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


@dataclass(frozen=True, slots=True)
class DrawnCells(Detector):
    """Looks at pixels in earnest, but says what was drawn: an untrained network sees no cells."""

    drawn: NDArray[np.float32] = field(kw_only=True)
    """(2, h, w) of edge and inner, repeated over the region."""

    def look(self, source: BlockSource, area: Area | None = None) -> NDArray[np.float32]:
        """Return the drawn maps of an area."""
        asked = area or Area(0, 0, *source.shape)
        Detector.look(self, source, asked)
        side = self.drawn.shape[1]
        rows = np.arange(asked.y0, asked.y0 + asked.height) % side
        columns = np.arange(asked.x0, asked.x0 + asked.width) % side
        return self.drawn[:, rows[:, None], columns]


@dataclass(frozen=True, slots=True)
class Region:
    """Pixels of any size that take no memory."""

    shape: tuple[int, int]

    def read(self, y0: int, x0: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return one block."""
        rows, columns = np.arange(y0, y0 + height) % 251, np.arange(x0, x0 + width) % 241
        return np.stack([rows[:, None] ^ columns] * 3, axis=-1).astype(np.uint8)

    def blocks(self) -> list[LookedAt]:
        """Return the blocks that a prediction looks at."""
        height, width = self.shape
        whole = Window(0, 0, width, height)
        return [
            LookedAt(core, whole, partial(self._opened, core, whole))
            for core in cores_of(height, width)
        ]

    def _opened(self, core: Window, whole: Window, margin_px: int) -> Opened:
        seen = core.grown(margin_px).clipped(whole)
        return Opened(self, Area(seen.y0, seen.x0, seen.height, seen.width), seen)


def detector(family: Literal["unet", "tiny_resnet"], runtime: Runtime) -> DrawnCells:
    """Return a network with maps of about a hundred cells in a million pixels."""
    settings = NetworkSettings(family=family, encoder="resnet34", weights="random")
    drawn = draw_map(*LARGE)
    maps = np.stack([drawn.edge, drawn.inner]).astype(np.float32)
    frozen = freeze(build(settings, seed=0).eval(), runtime)
    return DrawnCells(frozen, WINDOWS, InstanceSettings(), runtime, drawn=maps)


def in_blocks(one: DrawnCells, region: Region) -> int:
    """Predict a region as the stage does, and return how many cells there are."""
    stitcher, n_cells, blocks = Stitcher(TOLERANCE_PX), 0, region.blocks()
    with TemporaryDirectory() as folder, looking(Workspace(Path(folder)), one) as network:
        for block, found in zip(blocks, network.each(blocks), strict=True):
            n_cells += int(stitcher.new(found.cells, (0, 0), block.core).sum())
    return n_cells


def in_one_piece(one: DrawnCells, region: Region) -> int:
    """Predict a region without blocks, and return how many cells there are."""
    return len(one.find(region).cells)


def windows_of(one: DrawnCells, areas: list[Area]) -> list[tuple[int, int, int]]:
    """Return how many windows of which height and width the network sees in some areas."""
    border_px = int(getattr(one.network, "border_px", 0))
    found = []
    for area in areas:
        rows, columns = (
            lay_windows(first, first + length, WINDOWS, border_px)
            for first, length in ((area.y0, area.height), (area.x0, area.width))
        )
        found.append((len(rows.starts) * len(columns.starts), rows.side, columns.side))
    return found


@torch.inference_mode()
def bare(one: DrawnCells, windows: list[tuple[int, int, int]]) -> None:
    """Run the network over as many windows, and keep nothing."""
    with threads_of(one.runtime):
        for number, height, width in windows:
            image = torch.zeros((1, height, width, 3), dtype=torch.uint8)
            for _ in range(number):
                one.network(image)


def measure_region(
    family: Literal["unet", "tiny_resnet"], side_px: int, n_rounds: int
) -> dict[str, float | str]:
    """Return what a large region costs beyond its forward passes, in blocks and in one piece."""
    runtime = Runtime("cpu", "bf16", physical_cores())
    one, region = detector(family, runtime), Region((side_px, side_px))
    bare(one, [(1, 512, 512)])
    blocks = windows_of(one, [block.opened(MARGIN_PX).area for block in region.blocks()])
    whole = windows_of(one, [Area(0, 0, side_px, side_px)])
    rows = [
        (
            seconds(lambda: bare(one, blocks)),
            seconds(lambda: in_blocks(one, region)),
            seconds(lambda: bare(one, whole)),
            seconds(lambda: in_one_piece(one, region)),
        )
        for _ in range(n_rounds)
    ]
    return {
        "figure": f"{family}: a region of {side_px} px to cells, of the bare passes of its windows",
        "threads": runtime.threads,
        "ratio_in_blocks": statistics.median(row[0] / row[1] for row in rows),
        "ratio_in_one_piece": statistics.median(row[2] / row[3] for row in rows),
        "blocks_by_one_piece": statistics.median(row[1] / row[3] for row in rows),
        "window_pixels_by_one_piece": _pixels(blocks) / _pixels(whole),
        "in_blocks_s": statistics.median(row[1] for row in rows),
    }


def measure_memory() -> dict[str, float | str]:
    """Return the peak memory of predicting the largest region, in blocks and in one piece."""
    return {
        "figure": f"peak memory in MB, a region of {MEMORY_PX} px",
        "in_blocks": _peak_mb("in_blocks"),
        "in_one_piece": _peak_mb("in_one_piece"),
    }


def _pixels(windows: list[tuple[int, int, int]]) -> int:
    return sum(number * height * width for number, height, width in windows)


def _peak_mb(how: str) -> float:
    """Return the peak memory of a process that predicts one region of `MEMORY_PX`."""
    call = [sys.executable, "-m", "benchmarks.prediction", how]
    said = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    return float(said)


def _use_memory(how: str) -> None:
    one = detector("tiny_resnet", Runtime("cpu", "bf16", 1))
    {"in_blocks": in_blocks, "in_one_piece": in_one_piece}[how](one, Region((MEMORY_PX, MEMORY_PX)))
    sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _use_memory(sys.argv[1])
    else:
        regions = [measure_region(*one) for one in REGIONS]
        json.dump([measure(), *regions, measure_memory()], sys.stdout, indent=2)
