"""Ingest of region images with their boxes, against plain decoding of the same files.

Run with ``python -m benchmarks.ingest``; numbers behind it take other than 1,000 regions, 3 rounds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.timing import seconds
from models.geometry.settings import TileSettings
from storage.datasets.registered import latest
from storage.extraction import extract
from storage.layout import Workspace
from storage.measuring import n_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_REGIONS = 1000
SIDE_PX = 2000
N_BOXES = 160
QUALITY = 90
ROUNDS = 3
"""Interleaved; the quickest of each counts, as others only ever make it slower. Regions are cut in
the last round."""
TARGETS = {"ratio": 0.8}
ROOT = Path(__file__).absolute().parent.parent


def measure(n_regions: int = N_REGIONS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return seconds and ratios: plain decoding through ingest, and through ingest and cutting."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        draw_dataset(data, n_regions)
        files = sorted((data / "images").iterdir())
        plain, ingested = [], []
        workspaces = [Workspace(Path(folder) / f"workspace-{number}") for number in range(rounds)]
        for at in workspaces:
            plain.append(seconds(partial(_decode_all, files)))
            ingested.append(seconds(partial(_ingest, data, at)))
        at = workspaces[-1]
        cut_s = seconds(partial(extract, at, latest(at, "bench"), TileSettings()))
        size_mb = sum(file.stat().st_size for file in files) / 1e6
    plain_s, ingest_s = min(plain), min(ingested)
    return {
        "figure": f"{n_regions} regions of {SIDE_PX} x {SIDE_PX}, {N_BOXES} boxes each",
        "cores": n_cores(),
        "jpeg_mb": size_mb,
        "ratio": plain_s / ingest_s,
        "ratios": [one / other for one, other in zip(plain, ingested, strict=True)],
        "ratio_with_cutting": plain_s / (ingest_s + cut_s),
        "plain_decoding_s": plain_s,
        "ingest_s": ingest_s,
        "cutting_s": cut_s,
    }


def draw_dataset(folder: Path, n_regions: int) -> None:
    """Write jpeg images that look like stained tissue, and boxes in COCO form."""
    (folder / "images").mkdir(parents=True)
    with ProcessPoolExecutor(n_cores()) as pool:
        list(pool.map(partial(_draw, folder / "images"), range(n_regions)))
    rng = np.random.default_rng(0)
    boxes = np.column_stack(
        [rng.integers(0, SIDE_PX - 60, (n_regions * N_BOXES, 2)),
         rng.integers(20, 60, (n_regions * N_BOXES, 2))]
    )  # fmt: skip
    value = {
        "images": [
            {"id": n, "file_name": f"{n:05}.jpg", "width": SIDE_PX, "height": SIDE_PX}
            for n in range(n_regions)
        ],
        "annotations": [
            {"id": n, "image_id": n // N_BOXES, "category_id": 1, "bbox": box}
            for n, box in enumerate(boxes.tolist())
        ],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (folder / "annotations.json").write_text(json.dumps(value))


@cache
def _noise() -> NDArray[np.float32]:
    """Return fine and finest structure, drawn once for each process."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    fine = cv2.resize(rng.normal(0, 25, (400, 400, 3)).astype(np.float32), (SIDE_PX, SIDE_PX))
    return np.asarray(fine + rng.normal(0, 8, fine.shape), np.float32)


def _draw(folder: Path, number: int) -> None:
    noise, rng = _noise(), np.random.default_rng(number)
    image = np.roll(noise, rng.integers(0, SIDE_PX, 2), (0, 1)) + np.array(
        (190, 130, 170), np.float32
    )
    for side, strength in ((8, 60), (60, 30)):  # no two are alike
        coarse = rng.normal(0, strength, (side, side, 3)).astype(np.float32)
        image += cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=QUALITY)


def _decode_all(files: list[Path]) -> None:
    with ProcessPoolExecutor(n_cores()) as pool:
        list(pool.map(_decode, files, chunksize=4))


def _decode(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _ingest(data: Path, at: Workspace) -> None:
    """Run the command as a user does, who also waits for its start."""
    command = [sys.executable, "-m", "flows.cli", "ingest", "coco", str(data), "--name", "bench"]
    command += ["--workspace", str(at.root), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    refused = json.loads(done.stdout)["refused"]
    if refused:
        raise RuntimeError(f"{len(refused)} images were refused, the first: {refused[0]}")


if __name__ == "__main__":
    found = measure(*map(int, sys.argv[1:3]))
    json.dump({"targets": TARGETS, "ingest": found}, sys.stdout, indent=2)
