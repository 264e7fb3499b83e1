"""Label versions as OME-Zarr 0.5: a group per region with cells and classes, each as a pyramid.

A coordinate is that of a pixel's centre, as in the slide's own OME-Zarr without a translation: the
centre of the slide's first pixel is 0. The unit is the micrometre where the slide has a pixel size,
else the level-0 pixel.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from models.annotations import Origin, PixelClass
from models.errors import NotFoundError, WorkspaceError
from storage.arrays import CHUNK_PX, SHARD_PX, folder_name
from storage.geojson import new_file
from storage.labels.export import COLOURS, Exported
from storage.labels.export_regions import Ground
from storage.labels.schema import CELLS, CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.annotations import CellRecords
    from models.geometry.tiles import Placement
    from storage.labels.store import LabelVersion

OME = "0.5"
COARSEST_PX = 512
"""Levels are added until both sides of the last are this or less."""
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

    Raises
    ------
    WrongUseError
        If a region is already there; nothing is written then.
    WorkspaceError
        If something cannot be written.
    IntegrityError
        If the version was altered on disk. Whatever is raised, no half of a region is left.
    """
    # All are looked for before the first is written: it may take an hour.
    targets = {one: new_file(folder, folder_name(one)) for one in version.region_ids}
    total = sum(_n_blocks(version.classes(one).shape) for one in targets)
    done, n_cells = 0, 0
    for region_id, target in targets.items():
        pending = target.with_name(f".{target.name}.part")
        try:
            shutil.rmtree(pending, ignore_errors=True)  # of a process that was killed
            region = _Region.of(version, region_id, ground or Ground())
            for _ in region.write(pending):
                done += 1
                if progress:
                    progress(done, total)
            n_cells += len(region.records)
            pending.rename(target)
        except OSError as error:
            if isinstance(error, WorkspaceError):
                raise
            raise _unwritable(target, error) from error
        finally:
            shutil.rmtree(pending, ignore_errors=True)
    return Exported(tuple(targets.values()), n_cells)


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

    def write(self, path: Path) -> Iterator[None]:
        """Write everything; yields after each block."""
        lineage = self.lineage()
        zarr.create_group(store=str(path), attributes={"signetflow": lineage})
        listed = {"ome": {"version": OME, "labels": [CELLS, CLASSES]}, "signetflow": lineage}
        zarr.create_group(store=str(path / "labels"), attributes=listed)
        for name, stored, said in (
            (CELLS, self.version.cells(self.region_id), _cells(self.records)),
            (CLASSES, self.version.classes(self.region_id), _classes()),
        ):
            ome = {
                "version": OME,
                "multiscales": [self.multiscale(name, stored.shape)],
                "image-label": {"version": OME, **said},
            }
            group = path / "labels" / name
            zarr.create_group(store=str(group), attributes={"ome": ome, "signetflow": lineage})
            yield from _write_pyramid(group, stored)

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


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the shapes of all levels of a pyramid, the finest first."""
    shapes = [(shape[0], shape[1])]
    while max(shapes[-1]) > COARSEST_PX:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


def _transforms(placement: Placement, level: int, mpp: float) -> list[dict[str, Any]]:
    pixel = placement.downsample * 2**level
    # From the corner of a pixel to its centre, from the corner of the slide to that of its first.
    to_centre = (pixel - 1) / 2
    corner = placement.y0, placement.x0
    return [
        {"type": "scale", "scale": [pixel * mpp, pixel * mpp]},
        {"type": "translation", "translation": [(start + to_centre) * mpp for start in corner]},
    ]


def _write_pyramid(group: Path, stored: zarr.Array[Any]) -> Iterator[None]:
    """Write all levels, shard by shard: each level is read from the one before."""
    # Level 0 is copied, not linked: a program that edits it would change the version itself.
    source, step = stored, 1
    for level, shape in enumerate(level_shapes(stored.shape)):
        target = _new_array(group / str(level), shape, stored)
        for part in _blocks(shape):
            wider = tuple(slice(one.start * step, one.stop * step, step) for one in part)
            target[part] = np.asarray(source[wider])
            yield
        source, step = target, 2


def _new_array(path: Path, shape: tuple[int, int], like: zarr.Array[Any]) -> zarr.Array[Any]:
    shard = tuple(min(SHARD_PX, -(-side // CHUNK_PX) * CHUNK_PX) for side in shape)
    return zarr.create_array(
        store=str(path),
        shape=shape,
        dtype=like.dtype,
        chunks=(CHUNK_PX, CHUNK_PX),
        shards=shard,
        fill_value=like.fill_value,
        # Blosc and crc32c belong to the core of zarr v3, so that every reader knows them.
        compressors=like.compressors,
        dimension_names=("y", "x"),
    )


def _blocks(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    for top, left in product(*(range(0, side, SHARD_PX) for side in shape)):
        bottom, right = min(top + SHARD_PX, shape[0]), min(left + SHARD_PX, shape[1])
        yield slice(top, bottom), slice(left, right)


def _n_blocks(shape: tuple[int, ...]) -> int:
    levels = level_shapes(shape)
    return 2 * sum(math.prod(-(-side // SHARD_PX) for side in one) for one in levels)


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


def _unwritable(path: Path, error: OSError) -> WorkspaceError:
    return WorkspaceError(
        f"{path}: cannot be written: {error.strerror or error}. Give another --output."
    )
