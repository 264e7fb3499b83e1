"""The whole of `evaluate` with FROC and 1,000 resamples, against pycocotools' matching alone.

Run with ``python -m benchmarks.evaluation``. The scene has the size of DigestPath's: 74 positive
regions with 160 cells each, 320 negative ones, 400 detections on every one.
"""

from __future__ import annotations

import contextlib
import io
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.timing import seconds
from models.annotations import Role
from models.metrics.detection import evaluate
from models.metrics.matching import ImageCells, match
from models.metrics.settings import EvaluationSettings
from storage.results import read_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

N_POSITIVE, N_NEGATIVE = 74, 320
N_POSITIVE_SLIDES, N_NEGATIVE_SLIDES = 21, 106
N_TRUTH, N_PREDICTIONS, N_FOUND = 160, 400, 130
SIDE_PX = 2000
SETTINGS = EvaluationSettings()
ROUNDS = 5
TARGET = 8.0


def draw_scene(seed: int = 0) -> list[ImageCells]:
    """Return the images; on positive ones most cells are found, a little off their place."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(N_POSITIVE + N_NEGATIVE):
        positive = number < N_POSITIVE
        truth = _boxes(rng, N_TRUTH if positive else 0)
        predicted = _boxes(rng, N_PREDICTIONS)
        if positive:
            moved = np.tile(rng.normal(0, 4, (N_FOUND, 2)), 2)
            predicted[:N_FOUND] = truth[:N_FOUND] + moved
        slide = f"p{number % N_POSITIVE_SLIDES}" if positive else f"n{number % N_NEGATIVE_SLIDES}"
        role = Role.POSITIVE if positive else Role.NEGATIVE
        scores = 0.15 + 0.85 * rng.beta(1, 6, N_PREDICTIONS)
        if positive:
            scores[:N_FOUND] = rng.uniform(0.2, 1, N_FOUND)
        images.append(
            ImageCells(str(number + 1), slide, role, not positive, truth, predicted, scores)
        )
    return images


def _boxes(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    corner, size = rng.uniform(0, SIDE_PX - 60, (count, 2)), rng.uniform(25, 55, (count, 2))
    return np.hstack([corner, corner + size])


def measure() -> dict[str, float | str]:
    """Return the times, medians of interleaved rounds, and their ratio."""
    images = draw_scene()
    peer_s, ours_s, match_s, read_s, parse_s = [], [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        truth, predictions = _write(images, Path(folder))
        peer = _pycocotools(truth, predictions)
        for _ in range(ROUNDS):
            peer_s.append(seconds(lambda: _match_all(peer)))
            ours_s.append(seconds(lambda: evaluate(images, SETTINGS)))
            match_s.append(seconds(lambda: match(images, SETTINGS.iou)))
            read_s.append(seconds(lambda: read_results(truth, predictions)))
            parse_s.append(seconds(lambda: [json.loads(one.read_bytes())
                                             for one in (truth, predictions)]))  # fmt: skip
    # Within a round both saw the same machine.
    ratios = [bare / ours for bare, ours in zip(peer_s, ours_s, strict=True)]
    return {
        "figure": "evaluate with FROC and 1000 resamples, of pycocotools' matching at one IoU",
        "ratio": statistics.median(ratios),
        "target": TARGET,
        "evaluate_s": statistics.median(ours_s),
        "of_it_matching_s": statistics.median(match_s),
        "pycocotools_matching_s": statistics.median(peer_s),
        "reading_both_files_s": statistics.median(read_s),
        "bare_json_of_both_files_s": statistics.median(parse_s),
        "n_predictions": float(sum(len(one.scores) for one in images)),
        "froc": evaluate(images, SETTINGS).froc,
    }


def _write(images: Sequence[ImageCells], folder: Path) -> tuple[Path, Path]:
    """Write truth and detections as COCO files and return their paths."""
    entries = [
        {"id": int(one.image_id), "file_name": f"{one.image_id}.png", "slide": one.slide,
         "width": SIDE_PX, "height": SIDE_PX, "role": str(one.role), "complete": one.complete}
        for one in images
    ]  # fmt: skip
    cells = [
        {"image_id": int(one.image_id), "category_id": 1, "bbox": box,
         "area": box[2] * box[3], "iscrowd": 0}
        for one in images
        for box in _as_coco(one.truth)
    ]  # fmt: skip
    numbered = [{"id": number + 1} | cell for number, cell in enumerate(cells)]
    found = [
        {"image_id": int(one.image_id), "category_id": 1, "bbox": box, "score": score}
        for one in images
        for box, score in zip(_as_coco(one.predicted), one.scores.tolist(), strict=True)
    ]
    truth, predictions = folder / "truth.json", folder / "predictions.json"
    categories = [{"id": 1, "name": "cell"}]
    content = {"images": entries, "annotations": numbered, "categories": categories}
    truth.write_text(json.dumps(content))
    predictions.write_text(json.dumps(found))
    return truth, predictions


def _as_coco(boxes: NDArray[np.float64]) -> list[list[float]]:
    rows: list[list[float]] = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()
    return rows


def _pycocotools(truth: Path, predictions: Path) -> Any:  # noqa: ANN401  # it has no types
    """Return pycocotools' evaluation, prepared, at one IoU and without its cap of 100."""
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(str(truth))
        peer = COCOeval(known, known.loadRes(str(predictions)), "bbox")
    peer.params.iouThrs = np.array([SETTINGS.iou])
    peer.params.areaRng, peer.params.areaRngLbl = [[0, 1e10]], ["all"]
    peer.params.maxDets = [N_PREDICTIONS]
    return peer


def _match_all(peer: Any) -> None:  # noqa: ANN401  # as above
    """Match all images; nothing is accumulated."""
    with contextlib.redirect_stdout(io.StringIO()):
        peer.evaluate()


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=2)
