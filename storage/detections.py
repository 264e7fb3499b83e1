"""What a network found in some regions: cells, and the masks that relabelling merges."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Detections, Polygons
from storage.arrays import folder_name, open_array, write_array
from storage.artefacts import Draft, canonical_json, commit, draft, opened
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

INDEX = "detections.json"


@dataclass(frozen=True, slots=True)
class FoundMasks:
    """Pixels of one region, at working resolution."""

    classes: NDArray[np.uint8]
    """(h, w), values of `PixelClass`: what is above the threshold of relabelling."""
    inner: NDArray[np.uint8]
    """(h, w), 255 x p(inner) where `classes` is a cell, 0 elsewhere."""


class DetectionDraft:
    """Detections that are being written, one region after the other."""

    def __init__(self, work: Draft) -> None:
        self._work = work
        self._index: dict[str, int] = {}

    def put(self, region_id: str, found: Detections, masks: FoundMasks | None) -> None:
        """Add what was found in one region; boxes and polygons in level-0 pixels."""
        folder = self._work.path / folder_name(region_id)
        folder.mkdir()
        for name, column in _columns(found).items():
            np.save(folder / f"{name}.npy", column, allow_pickle=False)
        if masks is not None:
            write_array(folder / "classes", masks.classes, fill=255)
            write_array(folder / "inner", masks.inner, fill=0)
        self._index[region_id] = len(found)

    def write_index(self, facts: dict[str, Any]) -> None:
        """Write which regions were looked at, and how."""
        index = {"regions": self._index, "facts": facts}
        (self._work.path / INDEX).write_text(canonical_json(index))


def _columns(found: Detections) -> dict[str, NDArray[Any]]:
    return {
        "boxes": found.boxes,
        "scores": found.scores,
        "points": found.polygons.values,
        "offsets": found.polygons.offsets,
    }


@contextmanager
def detection_draft(at: Workspace, facts: dict[str, Any]) -> Iterator[tuple[DetectionDraft, Draft]]:
    """Yield a draft of detections and the artefact's draft; committed when the block ends well."""
    with draft(at, Kind.DETECTIONS) as work:
        detections = DetectionDraft(work)
        yield detections, work
        detections.write_index(facts)
        commit(at, Kind.DETECTIONS, work)


@dataclass(frozen=True, slots=True)
class StoredDetections:
    """Detections on disk, read one region at a time."""

    folder: Path
    regions: dict[str, int]
    """How many cells were found in each region that was looked at."""
    facts: dict[str, Any]
    """How they were found: checkpoint, thresholds."""

    def detections(self, region_id: str) -> Detections:
        """Return the cells found in one region."""
        folder = self.folder / folder_name(region_id)
        part = {
            name: np.load(folder / f"{name}.npy", allow_pickle=False)
            for name in ("boxes", "scores", "points", "offsets")
        }
        return Detections(part["boxes"], part["scores"], Polygons(part["points"], part["offsets"]))

    def masks(self, region_id: str) -> FoundMasks:
        """Return the masks of one region; only predictions for relabelling have them."""
        folder = self.folder / folder_name(region_id)
        classes = np.asarray(open_array(folder / "classes")[:])
        return FoundMasks(classes, np.asarray(open_array(folder / "inner")[:]))


def open_detections(at: Workspace, ref: Ref) -> StoredDetections:
    """Return stored detections.

    Raises
    ------
    IntegrityError
        If they are missing or altered.
    """
    folder = opened(at, ref)
    index = json.loads((folder / INDEX).read_text())
    return StoredDetections(folder, index["regions"], index["facts"])
