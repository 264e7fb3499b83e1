"""What it costs a training to keep its state, and what a kill costs then.

Run with ``python -m benchmarks.checkpoints``, with ``--threads N``, ``--batch N``, ``--steps N``,
``--every SECONDS`` and ``--rounds N`` if wanted. smp's ResNet-34 U-Net trains on 512 crops as in
`benchmarks.training`, with and without a sink on disk; the turns alternate, so that foreign load
falls on both. It saves more often than the product does, so that the cost stands out of the noise:
what one saving costs is then laid on the product's interval. On a CUDA device where there is one.

A saving is made by the thread that trains (the copy of all tensors) and by one that writes; both
shares are counted twice: by the clock, and by processor time, which foreign load hardly touches.
A training on CPUs takes all the time of its threads: there the latter decides, on CUDA the clock.
What a kill costs is the interval, one saving and one step; in a prediction it is one region.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.prediction import ArraySource
from benchmarks.training import CROP_PX, NETWORK, ArrayRegions, now
from models.geometry.settings import TileSettings
from models.networks.registry import build
from models.prediction.frozen import freeze
from models.prediction.settings import WindowSettings
from models.prediction.windows import predict
from models.runtime import Runtime, physical_cores
from models.training.loop import Hooks, train
from models.training.sampling import Randomness
from models.training.settings import TrainingSettings
from storage.checkpoints import UnfinishedWork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.training.protocols import StateSink

TARGET = 0.02
MOST_LOST_S = 60.0


@dataclass(slots=True)
class Timed:
    """A sink on disk that takes the time of each saving; nothing is ever read back."""

    sink: UnfinishedWork
    seconds: list[float] = field(default_factory=list)
    n_bytes: int = 0

    def load(self) -> None:
        """Return nothing: each turn begins anew."""

    def save(self, tensors: dict[str, torch.Tensor], card: dict[str, Any]) -> None:
        """Save as the product does."""
        started = time.perf_counter()
        self.sink.save(tensors, card)
        self.seconds.append(time.perf_counter() - started)
        self.n_bytes = sum(tensor.nbytes for tensor in tensors.values())


@dataclass(frozen=True, slots=True)
class Turn:
    """How long all steps but the first took, the last saving included."""

    clock_s: float
    processor_s: float
    """Of all threads."""


def turn(
    runtime: Runtime, settings: TrainingSettings, source: ArrayRegions, sink: StateSink | None
) -> Turn:
    """Train once."""
    marks: list[tuple[float, float]] = []

    def report(event: dict[str, Any]) -> None:
        if event.get("kind") == "step" and event["step"] == 1:
            marks.append((now(runtime), time.process_time()))

    hooks = Hooks(sink=sink, report=report)
    train(build(NETWORK, 0), source, settings, Randomness(0, "bench"), runtime, hooks)
    return Turn(now(runtime) - marks[0][0], time.process_time() - marks[0][1])


def turns(
    runtime: Runtime, settings: TrainingSettings, n_rounds: int
) -> Iterator[tuple[Turn, Turn, Timed]]:
    """Yield pairs of a training without and one with a sink, after one that warms up."""
    source = ArrayRegions()
    turn(runtime, settings.model_copy(update={"steps_per_epoch": 2}), source, None)
    for number in range(n_rounds):
        with tempfile.TemporaryDirectory() as folder:
            sink = Timed(UnfinishedWork(Path(folder) / "state"))
            pair = {}
            # The one that is second may find a warmer or a hotter machine.
            for one in (None, sink) if number % 2 else (sink, None):
                pair[one is None] = turn(runtime, settings, source, one)
            yield pair[True], pair[False], sink


def region_seconds(runtime: Runtime) -> float:
    """Return how long the network looks at one region of the usual size: a part of a prediction."""
    side = TileSettings().region_px
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    network = build(NETWORK, 0).to(runtime.device).to(memory_format=torch.channels_last)
    frozen = freeze(network.eval(), runtime)
    started = now(runtime)
    predict(frozen, ArraySource(image), WindowSettings(), runtime)
    return now(runtime) - started


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the cost of a saving on the product's interval, medians of interleaved rounds."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    runtime = Runtime(device, "bf16", asked.threads)  # type: ignore[arg-type]  # one of the two
    settings = TrainingSettings(
        crop_px=CROP_PX, batch=asked.batch, epochs=1, steps_per_epoch=asked.steps,
        save_every_s=asked.every,
    )  # fmt: skip
    done = list(turns(runtime, settings, asked.rounds))
    clock = [(saved.clock_s - bare.clock_s) / len(sink.seconds) for bare, saved, sink in done]
    processor = [
        (saved.processor_s - bare.processor_s) / len(sink.seconds) for bare, saved, sink in done
    ]
    interval_s = TrainingSettings().save_every_s
    by_clock = round(statistics.median(clock) / interval_s, 4)
    by_processor = round(statistics.median(processor) / (interval_s * runtime.threads), 4)
    step_s = statistics.median(bare.clock_s for bare, _, _ in done) / (asked.steps - 1)
    save_s = max(seconds for _, _, sink in done for seconds in sink.seconds)
    return {
        "figure": "keeping the state of a training, share of its time",
        "device": runtime.device,
        "threads": runtime.threads,
        "batch": asked.batch,
        "savings": [len(sink.seconds) for _, _, sink in done],
        "megabytes": done[0][2].n_bytes // 1_000_000,
        "step_s": round(step_s, 3),
        "clock_s_each": [round(cost, 3) for cost in clock],
        "processor_s_each": [round(cost, 3) for cost in processor],
        "interval_s": interval_s,
        "share": by_clock if runtime.device == "cuda" else by_processor,
        "share_by_clock": by_clock,
        "share_by_processor": by_processor,
        "target": TARGET,
        "lost_at_a_kill_s": round(interval_s + save_s + step_s, 1),
        "lost_of_a_prediction_s": round(region_seconds(runtime), 1),
        "most_lost_s": MOST_LOST_S,
    }


def main(argv: list[str]) -> int:
    """Print one line of JSON; exit code 1 where a target is missed."""
    on_cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--batch", type=int, default=16 if on_cuda else 2)
    parser.add_argument("--steps", type=int, default=300 if on_cuda else 25)
    parser.add_argument("--every", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    result = measure(parser.parse_args(argv))
    print(json.dumps(result))
    lost = max(result["lost_at_a_kill_s"], result["lost_of_a_prediction_s"])
    return 0 if result["share"] <= TARGET and lost <= MOST_LOST_S else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
