"""Label versions: commit, diff and verify of a million cells, pixels compared, and the log.

Run with ``python -m benchmarks.labels``; ``--cells`` and ``--regions`` make it smaller.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.seeded_labels import ADDED, MOVED, REMOVED, draw_region, next_version
from benchmarks.timing import timed
from models.annotations import CellRecords
from models.geometry.tiles import Placement
from storage.artefacts import canonical_json
from storage.block_work import hired
from storage.labels.diff.compare import diff
from storage.labels.diff.pixels import ClassMatrix, PixelsByRegion, count_pixels
from storage.labels.store import LabelDraft, open_version
from storage.labels.verify import verify
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.seeded_labels import RegionCells
    from storage.labels.store import LabelVersion

TARGETS = {
    "commit_s": 10.0, "diff_s": 10.0, "peak_mb": 2000.0, "pixels_mb_per_s": 100.0, "log_s": 1.0,
    "blame_s": 2.0,
}  # fmt: skip
PLACE = Placement(0, 0, 1.0)
LARGE_PX = 8192
"""Side of the region whose pixels are compared: four shards."""
N_VERSIONS = 200


class _Spent:
    """Adds up the time of everything that is done within it, on the clock and on the cores."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall_s += time.perf_counter() - self._began[0]
        self.cpu_s += time.process_time() - self._began[1]


def measure(n_cells: int, n_regions: int, side_px: int) -> list[dict[str, Any]]:
    """Return the figures of records, of pixels and of the log."""
    with tempfile.TemporaryDirectory(prefix="labels-") as folder:
        at = Workspace(Path(folder) / "workspace")
        records = _records(at, n_cells, n_regions, side_px)
        shutil.rmtree(at.root)
        return [records, _pixels(at), _log(at)]


def _records(at: Workspace, n_cells: int, n_regions: int, side_px: int) -> dict[str, Any]:
    each = n_cells // n_regions
    regions = [draw_region(side_px, each, seed) for seed in range(n_regions)]
    first, _, _ = _committed(at, regions, None)
    later = [next_version(cells, seed) for seed, cells in enumerate(regions)]
    second, commit, peer_write_s = _committed(at, later, first)
    cpu_s = time.process_time()
    diff_s, found = timed(lambda: diff(at, first, second))
    cpu_s = time.process_time() - cpu_s
    middle = f"slide@{n_regions // 2},0"
    blame_s, answer = timed(
        lambda: _command(at, "blame", second.digest, "--cell", "1", "--region", middle)
    )
    if [one["by"] for one in answer["beginnings"]] != ["person"]:
        raise AssertionError(f"cell 1 was drawn by a person: {answer['beginnings']}")
    verify_s, checked = timed(lambda: verify(at, [first, second]))
    if checked.findings:
        raise AssertionError(f"nothing was altered: {checked.findings[0]}")
    peer_join_s, _ = timed(lambda: _joined(at, first, second))
    expected = {"added": ADDED, "removed": REMOVED, "moved": MOVED}
    for name, fraction in expected.items():
        if found.counts[name] != n_regions * round(fraction * each):
            raise AssertionError(f"{name}: {found.counts[name]} of {n_regions * each}")
    return {
        "figure": f"{n_cells} cells in {n_regions} regions of {side_px} x {side_px} pixels",
        "commit_s": commit.wall_s,
        "commit_cpu_s": commit.cpu_s,
        "diff_s": diff_s,
        "diff_cpu_s": cpu_s,
        "blame_s": blame_s,
        "verify_s": verify_s,
        "verified_mb": checked.n_bytes / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "commit_to_plain_parquet_and_npy": commit.wall_s / peer_write_s,
        "diff_to_plain_join": diff_s / peer_join_s,
        "cells": {name: found.counts[name] for name in ("before", "after", *expected)},
    }


def _committed(
    at: Workspace, regions: list[RegionCells], parent: Ref | None
) -> tuple[Ref, _Spent, float]:
    """Return a new version, the time of its commit, and the seconds of writing the same plainly."""
    ours, plain_s = _Spent(), 0.0
    stage, chain, number = ("self", "run", 1) if parent else ("ingest", "annotations", 0)
    plain = at.root.parent / f"plain-{number}"
    plain.mkdir()
    with LabelDraft(
        at, parent=parent, chain=chain, round=number, stage=stage, parameters={}
    ) as draft:
        for place, cells in enumerate(regions):
            classes, ids = cells.masks()
            records, free = cells.records(number), 2 * cells.n_before
            name = f"slide@{place},0"
            with ours:
                draft.put(name, PLACE, classes, ids, records, free)
            plain_s += _plainly(plain / str(place), classes, ids, records)
        with ours:
            ref = draft.commit()
    shutil.rmtree(plain)
    return ref, ours, plain_s


def _plainly(
    path: Path, classes: NDArray[np.uint8], ids: NDArray[np.uint32], records: CellRecords
) -> float:
    """Write a region without compression, checksum, check or digest; return the seconds."""

    def write() -> None:
        np.save(path.with_suffix(".classes.npy"), classes)
        np.save(path.with_suffix(".ids.npy"), ids)
        offsets = pa.array(2 * records.polygons.offsets, pa.int32())
        columns = {
            "cell_id": pa.array(records.cell_ids),
            **{str(side): pa.array(records.boxes[:, side].copy()) for side in range(4)},
            "polygon": pa.ListArray.from_arrays(offsets, pa.array(records.polygons.values.ravel())),
            "score": pa.array(records.scores),
            "annotation": pa.array(records.annotation_ids.tolist()),
        }
        pq.write_table(pa.table(columns), path.with_suffix(".parquet"))

    return timed(write)[0]


def _joined(at: Workspace, first: Ref, second: Ref) -> int:
    """Join all records of two versions by cell and count the boxes that differ, with pyarrow."""
    tables = []
    for ref in (first, second):
        parts = []
        for number, path in enumerate(sorted(at.path(ref).rglob("records.parquet"))):
            part = pq.read_table(path, columns=["cell_id", "x0", "y0", "x1", "y1", "score"])
            region = pa.array(np.full(len(part), number, np.int32))
            parts.append(part.append_column("region", region))
        tables.append(pa.concat_tables(parts))
    keys = ["region", "cell_id"]
    both = tables[0].join(tables[1], keys, join_type="full outer", right_suffix="_after")
    return int(pc.sum(pc.not_equal(both["x0"], both["x0_after"])).as_py() or 0)


def _pixels(at: Workspace) -> dict[str, Any]:
    cells = draw_region(LARGE_PX, 100_000, 0)
    before, _ = cells.masks()
    after, _ = next_version(cells, 0).masks()
    # Two of the four shards stay as they are, byte for byte.
    after[LARGE_PX // 2 :] = before[LARGE_PX // 2 :]
    versions = [open_version(at, _pixels_only(at, one)) for one in (before, after)]
    seconds, matrix = timed(lambda: _counted(*versions))
    plain_s, _ = timed(lambda: _counted_plainly(*map(_classes, versions)))
    decoded_mb = 2 * matrix.matrix.sum() / 1e6
    return {
        "figure": f"classes of {LARGE_PX} x {LARGE_PX} pixels, half of them in equal shards",
        "pixels_mb_per_s": decoded_mb / seconds,
        "seconds": seconds,
        "to_all_shards_plainly": seconds / plain_s,
        "shards": {"decoded": matrix.n_decoded, "equal": matrix.n_equal},
        "changed_px": matrix.changed_px,
    }


def _counted(before: LabelVersion, after: LabelVersion) -> ClassMatrix:
    total = ClassMatrix()
    with hired() as workers:
        for _, found in workers.each(count_pixels, PixelsByRegion(before, after).of("r")):
            if found is None:
                raise AssertionError("the two are of one size")
            total.add(found)
    return total


def _pixels_only(at: Workspace, classes: NDArray[np.uint8]) -> Ref:
    # No cells: ignored pixels stand for inner ones, and edge for background.
    seen = np.where(classes == 2, 255, 0).astype(np.uint8)
    nobody = np.zeros(seen.shape, np.uint32), CellRecords.none(), 1
    with LabelDraft(at, parent=None, chain="a", round=0, stage="ingest", parameters={}) as draft:
        draft.put("r", PLACE, seen, *nobody)
        return draft.commit()


def _classes(version: LabelVersion) -> NDArray[np.uint8]:
    return np.asarray(version.classes("r")[:], np.uint8)


def _counted_plainly(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.int64]:
    both = before.astype(np.int64) * 256 + after
    return np.bincount(both.ravel(), minlength=65536)


def _log(at: Workspace) -> dict[str, Any]:
    """Describe versions without pixels, and time the command that lists them."""
    described = json.loads((next((at.root / Kind.LABELS).glob("*/version.json"))).read_text())
    for number in range(N_VERSIONS):
        digest = f"{number:032x}"
        parent = f"{number - 1:032x}" if number % 20 else None
        folder = at.path(Ref(Kind.LABELS, digest))
        folder.mkdir()
        facts = {"digest": digest, "parent": parent, "chain": f"chain-{number // 20}"}
        (folder / "version.json").write_text(canonical_json({**described, **facts}))
    seconds, answer = timed(lambda: _command(at, "log"))
    python_s, _ = timed(lambda: subprocess.run([sys.executable, "-c", "import numpy"]))
    return {
        "figure": f"signetflow labels log --json of {len(answer['versions'])} versions",
        "log_s": seconds,
        "to_python_with_numpy": seconds / python_s,
    }


def _command(at: Workspace, *words: str) -> dict[str, Any]:
    """Return what a verb answers, from the start of its process."""
    command = [sys.executable, "-m", "flows.cli", "labels", *words, "--json", "--workspace"]
    done = subprocess.run([*command, str(at.root)], capture_output=True, check=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--regions", type=int, default=500)
    parser.add_argument("--side", type=int, default=512, help="of a region, in pixels")
    return parser.parse_args()


if __name__ == "__main__":
    asked = _arguments()
    figures = measure(asked.cells, asked.regions, asked.side)
    json.dump({"targets": TARGETS, "figures": figures}, sys.stdout, indent=2)
