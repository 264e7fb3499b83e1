"""Label versions as OME-Zarr 0.5: a group per region with cells and classes, each as a pyramid.

A coordinate is that of a pixel's centre, as in the slide's own OME-Zarr without a translation: the
centre of the slide's first pixel is 0. The unit is the micrometre where the slide has a pixel size,
else the level-0 pixel.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from models.annotations import Origin, PixelClass
from models.errors import NotFoundError
from storage.arrays import folder_name
from storage.block_work import hired
from storage.geojson import new_file
from storage.labels.export import COLOURS, Exported
from storage.labels.export_regions import Ground
from storage.labels.levels import (
    Image,
    is_one_block,
    level_shapes,
    n_blocks,
    new_levels,
    steps_of,
    unwritable,
    write_blocks,
)
from storage.labels.schema import CELLS, CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.annotations import CellRecords
    from models.geometry.tiles import Placement
    from models.runtime_settings import DaskSettings
    from storage.block_work import Workers
    from storage.labels.levels import Blocks
    from storage.labels.store import LabelVersion

OME = "0.5"
MOST_PROPERTIES = 100_000
"""Cells that are described one by one: every reader parses all of them before the first pixel."""
_CLASS_COLOURS = {
    PixelClass.BACKGROUND: [0, 0, 0, 0],
    PixelClass.EDGE: [230, 120, 0, 255],
    PixelClass.INNER: [0, 160, 0, 255],
    PixelClass.IGNORE: [128, 128, 128, 128],
}
"""Red, green, blue and opacity of each class."""


def export_ome_zarr(
    version: LabelVersion,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    ground: Ground | None = None,
    dask: DaskSettings | None = None,
) -> Exported:
    """Write one OME-Zarr group per region, each visible only when it is whole.

    Parameters
    ----------
    version, folder
        What is written, and where to.
    progress
        Called with the number of blocks done and their total.
    ground
        What is known of the regions, from `Ground.of`: without it there are no micrometres.
    dask
        The cluster that writes the blocks; without it threads do. The result is the same.

    Raises
    ------
    WrongUseError
        If a region is already there; nothing is written then.
    WorkspaceError
        If something cannot be written.
    IntegrityError
        If the version was altered on disk. Whatever is raised, no half of a region is left.
    OperationsError
        If the cluster cannot be used, or is lost.
    """
    # All are looked for before the first is written: it may take an hour.
    targets = {one: new_file(folder, folder_name(one)) for one in version.region_ids}
    exporting = _Exporting(version, ground or Ground(), targets, progress)
    try:
        with hired(dask) as workers:
            exporting.run(workers)
    finally:
        exporting.clean()  # when no thread writes any more
    return Exported(tuple(targets.values()), exporting.n_cells)


class _Exporting:
    def __init__(
        self,
        version: LabelVersion,
        ground: Ground,
        targets: dict[str, Path],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._version, self._ground, self._targets = version, ground, targets
        self._progress = progress
        self._shapes = {one: version.classes(one).shape for one in targets}
        self._total = sum(2 * n_blocks(shape) for shape in self._shapes.values())
        self._done = self.n_cells = 0
        self._pending: dict[str, Path] = {}

    def run(self, workers: Workers) -> None:
        """Write small regions side by side, and large ones level by level."""
        large = [one for one, shape in self._shapes.items() if not is_one_block(shape)]
        small = (
            blocks
            for region_id in self._targets
            if region_id not in large
            for blocks in self._begun(region_id)[0]
        )
        for blocks, n_written in workers.each(write_blocks, small):
            self._tell(n_written)
            self._finish(blocks.region_id)
        for region_id in large:
            for step in self._begun(region_id):
                for _, n_written in workers.each(write_blocks, step):
                    self._tell(n_written)
            self._finish(region_id)

    def _begun(self, region_id: str) -> list[list[Blocks]]:
        """Write all of a region but its pixels; return the work on those."""
        target = self._targets[region_id]
        pending = target.with_name(f".{target.name}.part").absolute()
        self._pending[region_id] = pending
        region = _Region.of(self._version, region_id, self._ground)
        try:
            shutil.rmtree(pending, ignore_errors=True)  # of a process that was killed
            images = region.begin(pending)
        except OSError as error:
            raise unwritable(target, error) from error
        self.n_cells += len(region.records)
        return steps_of(region_id, images)

    def _finish(self, region_id: str) -> None:
        try:
            self._pending[region_id].rename(self._targets[region_id])
        except OSError as error:
            raise unwritable(self._targets[region_id], error) from error
        del self._pending[region_id]

    def _tell(self, n_written: int) -> None:
        for _ in range(n_written):
            self._done += 1
            if self._progress:
                self._progress(self._done, self._total)

    def clean(self) -> None:
        """Remove what did not become whole."""
        for pending in self._pending.values():
            shutil.rmtree(pending, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Region:
    """One region on its way out."""

    version: LabelVersion
    region_id: str
    mpp: float | None
    """Micrometres per level-0 pixel."""
    records: CellRecords

    @classmethod
    def of(cls, version: LabelVersion, region_id: str, ground: Ground) -> _Region:
        mpp = _pixel_size(ground, region_id)
        return cls(version, region_id, mpp, version.records(region_id))

    def begin(self, path: Path) -> tuple[Image, ...]:
        """Write everything but pixels; return the images."""
        lineage = self.lineage()
        zarr.create_group(store=str(path), attributes={"signetflow": lineage})
        listed = {"ome": {"version": OME, "labels": [CELLS, CLASSES]}, "signetflow": lineage}
        zarr.create_group(store=str(path / "labels"), attributes=listed)
        region = self.version.region(self.region_id)
        images = []
        for name, shape, said in (
            (CELLS, region.cells().shape, _cells(self.records)),
            (CLASSES, region.classes().shape, _classes()),
        ):
            ome = {
                "version": OME,
                "multiscales": [self.multiscale(name, shape)],
                "image-label": {"version": OME, **said},
            }
            group = path / "labels" / name
            zarr.create_group(store=str(group), attributes={"ome": ome, "signetflow": lineage})
            images.append(Image(region.folder / name, group, shape))
            new_levels(images[-1])
        return tuple(images)

    def lineage(self) -> dict[str, Any]:
        """Return where the labels come from."""
        info, n_cells = self.version.info, len(self.records)
        return {
            "version": info.digest,
            "parent": info.parent,
            "chain": info.chain,
            "round": info.round,
            "stage": info.stage,
            "region": self.region_id,
            "placement": asdict(self.version.placement(self.region_id)),
            "mpp": self.mpp,
            "n_cells": n_cells,
            "n_described": min(n_cells, MOST_PROPERTIES),
        }

    def multiscale(self, name: str, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return the description of a pyramid."""
        unit = {} if self.mpp is None else {"unit": "micrometer"}
        placement = self.version.placement(self.region_id)
        return {
            "name": name,
            "type": "nearest",
            "axes": [{"name": axis, "type": "space", **unit} for axis in "yx"],
            "datasets": [
                {
                    "path": str(level),
                    "coordinateTransformations": _transforms(placement, level, self.mpp or 1.0),
                }
                for level in range(len(level_shapes(shape)))
            ],
        }


def _transforms(placement: Placement, level: int, mpp: float) -> list[dict[str, Any]]:
    pixel = placement.downsample * 2**level
    # From the corner of a pixel to its centre, from the corner of the slide to that of its first.
    to_centre = (pixel - 1) / 2
    corner = placement.y0, placement.x0
    return [
        {"type": "scale", "scale": [pixel * mpp, pixel * mpp]},
        {"type": "translation", "translation": [(start + to_centre) * mpp for start in corner]},
    ]


def _cells(records: CellRecords) -> dict[str, list[dict[str, Any]]]:
    """Return what is known of each cell, and its origin as a colour, as far as described."""
    described = records.take(np.arange(min(len(records), MOST_PROPERTIES)))
    columns = (
        described.cell_ids.tolist(), described.origins.tolist(), described.scores.tolist(),
        described.rounds.tolist(), described.checkpoints.tolist(),
        described.annotation_ids.tolist(),
    )  # fmt: skip
    properties = [
        {
            "label-value": cell_id,
            "origin": Origin(origin).name.lower(),
            "score": None if math.isnan(score) else score,
            "round": made_in,
            "checkpoint": checkpoint,
            "annotation_id": annotation_id,
        }
        for cell_id, origin, score, made_in, checkpoint, annotation_id in zip(*columns, strict=True)
    ]
    colours = [
        {"label-value": cell_id, "rgba": [*COLOURS[Origin(origin)], 255]}
        for cell_id, origin in zip(columns[0], columns[1], strict=True)
    ]
    return {"colors": colours, "properties": properties}


def _classes() -> dict[str, list[dict[str, Any]]]:
    return {
        "colors": [{"label-value": int(one), "rgba": rgba} for one, rgba in _CLASS_COLOURS.items()],
        "properties": [
            {"label-value": int(one), "class": one.name.lower()} for one in _CLASS_COLOURS
        ],
    }


def _pixel_size(ground: Ground, region_id: str) -> float | None:
    """Return the micrometres per level-0 pixel; None where they are not known."""
    if ground.regions is None or ground.catalogue is None:
        return None
    try:
        return ground.catalogue.item(ground.regions.info(region_id).item).mpp
    except NotFoundError:
        return None
