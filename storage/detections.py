"""What a network found in some regions: cells, and the masks that relabelling merges."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import Detections, Polygons
from storage.arrays import folder_name, open_array, save_array, write_array
from storage.artefacts import canonical_json, commit, draft, opened
from storage.layout import Kind, Ref, Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.geometry.tiles import Window
    from storage.parts import Parts

INDEX = "detections.json"


@dataclass(frozen=True, slots=True)
class FoundMasks:
    """Pixels of one region, at working resolution."""

    classes: NDArray[np.uint8]
    """(h, w), values of `PixelClass`: what is above the threshold of relabelling."""
    inner: NDArray[np.uint8]
    """(h, w), 255 x p(inner) where `classes` is a cell, 0 elsewhere."""


@dataclass(frozen=True, slots=True)
class Mosaic:
    """One mask of a large region, in pieces on the disk; read some rows at a time."""

    shape: tuple[int, int]
    """Height and width of the region."""
    pieces: tuple[tuple[Window, Path], ...]
    """Where each lies in the region, and its ``.npy`` file; together they cover it."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the values."""
        return np.dtype(np.uint8)

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        """Return some rows, (n, w)."""
        top, bottom, _ = rows.indices(self.shape[0])
        found = np.empty((bottom - top, self.shape[1]), np.uint8)
        for window, path in self.pieces:
            low, high = max(top, window.y0), min(bottom, window.y1)
            if low < high:
                piece = np.load(path, mmap_mode="r", allow_pickle=False)
                part = piece[low - window.y0 : high - window.y0]
                found[low - top : high - top, window.x0 : window.x1] = part
        return found


@dataclass(frozen=True, slots=True)
class MosaicMasks:
    """What `FoundMasks` holds, of a region too large for memory."""

    classes: Mosaic
    inner: Mosaic


class BlockDraft:
    """What was found in the blocks of one region so far: a kill costs the last seconds of it.

    Parameters
    ----------
    parts : Parts
        Where blocks wait for the others; those that a killed process left are taken over.
    n_blocks : int
        How many there will be.
    """

    def __init__(self, parts: Parts, n_blocks: int) -> None:
        self._parts = parts
        self.kept = {n for n in range(n_blocks) if parts.take_over(str(n)) is not None}
        """The numbers of blocks that a killed process left."""

    def put(self, number: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Add what was found in one block."""
        with self._parts.writing(str(number), {}) as folder:
            for name, values in arrays.items():
                save_array(folder / f"{name}.npy", values)

    def array(self, number: int, name: str) -> NDArray[Any]:
        """Return one array of a finished block."""
        found: NDArray[Any] = np.load(self._file(number, name), allow_pickle=False)
        return found

    def masks(self, cores: Sequence[Window]) -> MosaicMasks | None:
        """Return the arrays ``classes`` and ``inner`` of all blocks as one each, if there are any.

        `cores` says where each block lies; together they cover the region.
        """
        if not self._file(0, "classes").exists():
            return None
        return MosaicMasks(self._mosaic("classes", cores), self._mosaic("inner", cores))

    def _mosaic(self, name: str, cores: Sequence[Window]) -> Mosaic:
        pieces = tuple((core, self._file(number, name)) for number, core in enumerate(cores))
        return Mosaic((cores[-1].y1, cores[-1].x1), pieces)

    def drop(self) -> None:
        """Remove all blocks: their region lasts."""
        self._parts.drop()

    def _file(self, number: int, name: str) -> Path:
        return self._parts.folder / str(number) / f"{name}.npy"


class DetectionDraft:
    """Detections that are being written, one region after the other.

    Parameters
    ----------
    at : Workspace
    parts : Parts
        Where regions wait for the others; those that a killed process left are taken over.
    """

    def __init__(self, at: Workspace, parts: Parts) -> None:
        self._at = at
        self._parts = parts
        self._index: dict[str, int] = {}

    def keep(self, region_id: str) -> bool:
        """Return whether a region is finished already; then it is part of the draft."""
        facts = self._parts.take_over(folder_name(region_id))
        if facts is not None:
            self._index[region_id] = facts["cells"]
        return facts is not None

    def put(
        self, region_id: str, found: Detections, masks: FoundMasks | MosaicMasks | None
    ) -> None:
        """Add what was found in one region; boxes and polygons in level-0 pixels."""
        with self._parts.writing(folder_name(region_id), {"cells": len(found)}) as folder:
            for name, column in _columns(found).items():
                save_array(folder / f"{name}.npy", column)
            if masks is not None:
                write_array(folder / "classes", masks.classes, fill=255)
                write_array(folder / "inner", masks.inner, fill=0)
        self._index[region_id] = len(found)

    def seal(self) -> None:
        """Make the regions that were put last."""
        self._parts.seal()

    def commit(self, facts: dict[str, Any]) -> Ref:
        """Store the regions, with how they were looked at, and return the artefact."""
        with draft(self._at, Kind.DETECTIONS) as work:
            self._parts.link_into(work.path)
            index = {"regions": self._index, "facts": facts}
            (work.path / INDEX).write_text(canonical_json(index))
            return commit(self._at, Kind.DETECTIONS, work)


def _columns(found: Detections) -> dict[str, NDArray[Any]]:
    return {
        "boxes": found.boxes,
        "scores": found.scores,
        "points": found.polygons.values,
        "offsets": found.polygons.offsets,
    }


@dataclass(frozen=True, slots=True)
class StoredDetections:
    """Detections on disk, read one region at a time."""

    folder: Path
    regions: dict[str, int]
    """How many cells were found in each region that was looked at."""
    facts: dict[str, Any]
    """How they were found: checkpoint, thresholds."""

    def sent(self) -> StoredDetections:
        """Return what a worker is sent with each region: its path absolute, no list of all."""
        return replace(self, folder=self.folder.absolute(), regions={})

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
