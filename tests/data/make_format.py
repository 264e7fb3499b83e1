"""Write a small workspace as it is on disk today, to be kept and read for ever.

Run with ``python -m tests.data.make_format N`` when a number in `storage.formats` or the ledger's
rises: it writes ``tests/data/format-N.tar.xz`` and ``format-N.json``, which says what is to be read
from it. The workspaces of older formats stay as they are.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from models.annotations import Annotations, Detections, Polygons, Role
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings, TileSettings
from models.geometry.tiles import Window
from models.merging.settings import MergeSettings
from storage.artefacts import MANIFEST, commit, draft
from storage.checkpoints import load_card, load_state, save_card, save_checkpoint
from storage.datasets.catalogue import open_catalogue, register
from storage.datasets.protocol import KnownWindow, SourceItem
from storage.detections import DetectionDraft, FoundMasks, open_detections
from storage.formats import CURRENT
from storage.labels.log import log
from storage.labels.store import open_version
from storage.labels.tags import tag, tags
from storage.layout import Kind, Ref, Workspace
from storage.ledger import SCHEMA_VERSION, Event, Ledger
from storage.parts import Parts
from storage.regions import open_regions

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SIDE_PX = 64
DRAWN = np.array([[6.0, 6, 26, 28], [34, 8, 58, 30]])
FOUND = np.array([[10.0, 36, 32, 58]])
CONFIG = {"name": "kept", "dataset": "kept"}


def make(at: Workspace) -> None:
    """Fill a workspace with at least one artefact of every kind, and a ledger."""
    import torch

    from tasks.ingest import annotate, extract
    from tasks.relabel import Step, relabel
    from tasks.stage import Run

    ledger, run = Ledger(at), Run(at, "0" * 32)
    ledger.start_run(run.run_id, "kept", CONFIG, 1_700_000_000.0)
    how: Any = {"group_by": ("organ",), "allow_alike": ("all",)}
    with tempfile.TemporaryDirectory() as images:
        dataset = register(at, _items(Path(images)), name="kept", **how).ref
        if dataset is None:
            raise AssertionError("the images were refused")
        regions = extract(run, "cut", dataset=dataset, tiles=TileSettings())
    annotated = annotate(run, "draw", regions=regions, ellipses=EllipseSettings())
    weights = {"w": torch.arange(6, dtype=torch.float32).reshape(2, 3)}
    checkpoint = save_checkpoint(at, weights, {"model": "kept", "seed": 0})
    found = _detections(at, regions, checkpoint)
    step = Step("hard/fold0/seed0/self/kept", "self", 1, MergeSettings(threshold=0.5))
    words = {"regions": regions, "annotated": annotated, "detections": found, "step": step}
    labels = relabel(run, "relabel", previous=annotated, **words)
    tag(at, "gold", labels, "somebody")
    save_card(at, {"goes_on": False, "reason": "kept"})
    with draft(at, Kind.REPORT) as work:
        (work.path / "report.html").write_text("<p>kept</p>")
        report = commit(at, Kind.REPORT, work)
    ledger.post(Event("kept", {"a": [1, 2.5, None]}))
    ledger.finish_run(run.run_id, "completed", 1_700_000_060.0, result=report)


def _items(folder: Path) -> Iterator[SourceItem]:
    generator = np.random.default_rng(0)
    for number, role in enumerate((Role.POSITIVE, Role.POSITIVE, Role.NEGATIVE, Role.UNLABELLED)):
        path = folder / f"image{number}.png"
        pixels = generator.integers(90, 240, (8, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(path)
        shown = DRAWN[: 2 * (role is Role.POSITIVE)]
        marked = Annotations(
            np.array([f"mark-{row}" for row in range(len(shown))], np.str_),
            shown + number, Polygons.none(len(shown)),
        )  # fmt: skip
        window = KnownWindow(Window(0, 0, SIDE_PX, SIDE_PX), role)
        yield SourceItem(
            path.stem, path, SIDE_PX, SIDE_PX, None, (window,), None, marked, None,
            {"organ": f"organ{number}"},
        )  # fmt: skip


def _detections(at: Workspace, regions: Ref, checkpoint: Ref) -> Ref:
    ring = np.array([[10.0, 36], [32, 36], [32, 58], [10, 58]])
    classes, _ = rasterise(FOUND, (SIDE_PX, SIDE_PX), EllipseSettings())
    inner = np.where(classes == 2, 229, 0).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        parts = DetectionDraft(at, Parts(Path(folder)))
        for info in open_regions(at, regions).infos:
            if info.role is Role.POSITIVE:
                found = Detections(FOUND, np.array([0.9]), Polygons.of_rings([ring]))
                parts.put(info.region_id, found, FoundMasks(classes, inner))
        return parts.commit({"checkpoint": checkpoint.digest, "regions": regions.digest})


def read(at: Workspace) -> dict[str, Any]:
    """Return what is in a workspace, decoded, as JSON; reads every kind of artefact."""
    refs = {
        kind: [Ref(kind, path.parent.name) for path in sorted(at.root.glob(f"{kind}/*/{MANIFEST}"))]
        for kind in Kind
    }  # fmt: skip
    ledger = Ledger(at)
    return {
        "formats": dict(CURRENT) | {"ledger": SCHEMA_VERSION},
        "datasets": [_dataset(at, ref) for ref in refs[Kind.DATASET]],
        "regions": [_regions(at, ref) for ref in refs[Kind.REGIONS]],
        "labels": [_labels(at, info.ref) for info in log(at)],
        "tags": {name: ref.digest for name, ref in tags(at).items()},
        "checkpoints": [
            {"card": load_card(at, ref), "w": load_state(at, ref)["w"].tolist()}
            for ref in refs[Kind.CHECKPOINT]
        ],
        "detections": [_found(at, ref) for ref in refs[Kind.DETECTIONS]],
        "cards": [load_card(at, ref) for ref in refs[Kind.CARD]],
        "reports": [(at.path(ref) / "report.html").read_text() for ref in refs[Kind.REPORT]],
        "runs": [[run.name, run.state, run.config, str(run.result)] for run in ledger.runs()],
        "stages": [[one.label, one.state] for one in ledger.stages_of("0" * 32)],
        "trusted": [
            str(found.ref) for one in ledger.stages_of("0" * 32) if (found := ledger.find(one.key))
        ],
        "events": [[event.topic, event.body] for event in ledger.pending_events()],
    }  # fmt: skip


def _dataset(at: Workspace, ref: Ref) -> dict[str, Any]:
    catalogue = open_catalogue(at, ref)
    return {
        "digest": ref.digest,
        "items": [[one.name, one.width, one.digest, one.hard_fold] for one in catalogue.items],
    }


def _regions(at: Workspace, ref: Ref) -> dict[str, Any]:
    regions = open_regions(at, ref)
    return {
        one.region_id: {
            "role": str(one.role),
            "pixels": int(np.asarray(regions.image(one.region_id)[:]).astype(np.int64).sum()),
            "boxes": regions.annotations(one.region_id).boxes.tolist(),
        }
        for one in regions.infos
    }


def _labels(at: Workspace, ref: Ref) -> dict[str, Any]:
    version = open_version(at, ref)
    return {
        "info": version.info.to_json(),
        "cells": {name: version.records(name).cell_ids.tolist() for name in version.region_ids},
        "pixels": {
            name: int(np.asarray(version.cells(name)[:]).sum()) for name in version.region_ids
        },
    }


def _found(at: Workspace, ref: Ref) -> dict[str, Any]:
    found = open_detections(at, ref)
    return {
        "facts": found.facts,
        "boxes": {one: found.detections(one).boxes.tolist() for one in found.regions},
        "inner": {one: int(found.masks(one).inner.sum()) for one in found.regions},
    }


def main() -> None:
    """Write the two files of a format that has none yet."""
    archive = HERE / f"format-{int(sys.argv[1])}.tar.xz"
    if archive.exists():
        raise SystemExit(f"{archive}: what was written once is kept as it is.")
    with tempfile.TemporaryDirectory() as folder:
        at = Workspace(Path(folder) / "workspace")
        at.root.mkdir()
        make(at)
        said = json.dumps(read(at), indent=1, sort_keys=True)
        with tarfile.open(archive, "w:xz") as packed:
            packed.add(at.root, "workspace")
    archive.with_name(f"format-{int(sys.argv[1])}.json").write_text(said + "\n")


if __name__ == "__main__":
    main()
