"""Probability maps to cells, against scikit-image's random walker on the whole image.

Run with ``python -m benchmarks.instances``.
"""

from __future__ import annotations

import json
import statistics
import sys

import numpy as np
from skimage.segmentation import random_walker

from benchmarks.seeded_maps import LARGE, SMALL, draw_map
from benchmarks.timing import seconds, timed
from models.instances.find import find_instances, find_seeds
from models.instances.settings import InstanceSettings
from models.instances.walker import DEVIATION, grow_seeds

ROUNDS = 7
"""Of ours; the whole-image walker, seconds long, runs once."""
TARGETS = {"ratio_large": 40.0, "agreement": 0.97, "seconds_with_outlines": 0.3}


def measure() -> list[dict[str, float | str]]:
    """Return times, ratio and agreement for both shipped maps."""
    return [_measure_map(*SMALL), _measure_map(*LARGE)]


def _measure_map(side_px: int, n_cells: int) -> dict[str, float | str]:
    settings = InstanceSettings()
    drawn = draw_map(side_px, n_cells)
    foreground = drawn.inner + drawn.edge > settings.candidate_floor
    seeds, n_seeds = find_seeds(drawn.inner, drawn.edge, foreground, settings)
    data = drawn.inner - drawn.edge
    labels = np.where(foreground, seeds, -1)
    # The library divides beta by the deviation of the array it is given.
    beta = settings.beta * float(data.std()) / DEVIATION
    whole_s, expected = timed(lambda: random_walker(data, labels, beta, mode="bf"))
    first_s, grown = timed(lambda: grow_seeds(seeds, foreground, data, settings.beta))
    walker_s, all_s = [first_s], []
    for _ in range(ROUNDS):
        walker_s.append(seconds(lambda: grow_seeds(seeds, foreground, data, settings.beta)))
        all_s.append(seconds(lambda: find_instances(drawn.inner, drawn.edge, settings)))
    return {
        "figure": f"instances, {side_px} x {side_px}, {n_seeds} cells",
        "agreement": float((grown == expected)[foreground].mean()),
        "ratio": whole_s / statistics.median(walker_s),
        "whole_image_s": whole_s,
        "walker_s": statistics.median(walker_s),
        "first_walker_s": first_s,
        "with_outlines_s": statistics.median(all_s),
    }


if __name__ == "__main__":
    json.dump({"targets": TARGETS, "maps": measure()}, sys.stdout, indent=2)
