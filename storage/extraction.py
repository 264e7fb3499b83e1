"""Cut slides into regions: what a person looked at, and the tissue around it."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from models.errors import EmptyDatasetError, ImageError, InputError
from models.geometry.tiles import Window, grid, placed, spans, working_downsample, working_size
from storage.artefacts import commit, digest_of, draft
from storage.datasets.cells import digest_of_cells, write_tables
from storage.datasets.protocol import KnownWindow, RefusedItem
from storage.datasets.registered import open_catalogue, region_id
from storage.images import ImageDecoder
from storage.layout import Kind
from storage.regions import INDEX, RegionInfo, array_path
from storage.slides import open_slide
from storage.tissue import TissueMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from models.annotations import Annotations
    from models.geometry.settings import TileSettings
    from storage.datasets.registered import Catalogue, CatalogueItem
    from storage.layout import Ref, Workspace
    from storage.slides import Slide

CHUNK_PX = 512
SHARD_PX = 4096
"""A region is read and written in blocks of this size, aligned to the shards: bounded memory."""
MINIMUM_SIDE_PX = 64
"""Windows of the grid that the slide's border cuts narrower are left out, in working pixels."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Cut:
    """One region that was written."""

    info: RegionInfo
    pixels: str
    """sha256 of its pixels."""
    annotations: Annotations
    truth: Annotations | None


def extract(
    at: Workspace,
    dataset: Ref,
    settings: TileSettings,
    progress: Callable[[int, int], None] | None = None,
) -> Ref:
    """Write the regions of a dataset as an artefact.

    Each known window becomes a region as it is. Where the rest of a slide has a role, its tissue
    becomes regions on a grid that starts at the slide's corner and keeps clear of known windows.

    Parameters
    ----------
    at, dataset, settings
        The workspace, a registered dataset, and the scale and size of regions.
    progress : callable, optional
        Called with the number of slides done and their total.

    Raises
    ------
    InputError
        If the settings ask for a scale that an item does not have.
    IntegrityError
        If an image was changed since it was registered.
    EmptyDatasetError
        If no slide has a region.
    """
    catalogue = open_catalogue(at, dataset)
    scales = [_downsample(item, settings) for item in catalogue.items]
    cuts: list[_Cut] = []
    refused: list[RefusedItem] = []
    with draft(at, Kind.REGIONS) as work, ImageDecoder() as decoder:
        for done, (item, scale) in enumerate(zip(catalogue.items, scales, strict=True)):
            if progress is not None:
                progress(done, len(scales))
            source = _Source(catalogue, item, scale, decoder)
            try:
                cuts.extend(source.cut(work.path, len(cuts), settings))
            except ImageError as error:
                logger.warning("%s is left out: %s", item.name, error)
                refused.append(RefusedItem(item.name, str(error)))
                _discard_from(work.path, len(cuts))
        _require_some(catalogue, settings, cuts, refused)
        digest = _write_index(work.path, catalogue, cuts, refused)
        ref = commit(at, Kind.REGIONS, work, digest)
    if progress is not None:
        progress(len(scales), len(scales))
    return ref


def _discard_from(folder: Path, first: int) -> None:
    """Remove what was written of a slide that turned out to be damaged."""
    for path in array_path(folder, 0).parent.glob("*"):
        if int(path.name) >= first:
            shutil.rmtree(path)


def _downsample(item: CatalogueItem, settings: TileSettings) -> float:
    try:
        return working_downsample(item.mpp, settings.mpp, settings.downsample)
    except InputError as error:
        raise InputError(f"{item.name}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Source:
    """One slide to cut."""

    catalogue: Catalogue
    item: CatalogueItem
    downsample: float
    decoder: ImageDecoder

    def cut(self, folder: Path, first: int, settings: TileSettings) -> list[_Cut]:
        """Write all regions of the slide; their numbers start at ``first``."""
        path = self.catalogue.file(self.item.name)
        with open_slide(path, self.item.mpp, decoder=self.decoder) as slide:
            if (slide.width, slide.height) != (self.item.width, self.item.height):
                raise ImageError(
                    f"{path}: {slide.width} x {slide.height} px, but its dataset says "
                    f"{self.item.width} x {self.item.height}. Mend the annotation file."
                )
            known = list(self.item.windows)
            found = [*known, *self._tissue(slide, settings)]
            return [self._write(folder, first + n, slide, one) for n, one in enumerate(found)]

    def _tissue(self, slide: Slide, settings: TileSettings) -> Iterator[KnownWindow]:
        """Yield the windows of the grid that hold tissue and that nobody looked at."""
        if self.item.rest is None:
            return
        tissue = TissueMap(slide)
        side = settings.region_px * self.downsample
        for window in grid(slide.width, slide.height, side):
            taken = any(window.intersects(known.window) for known in self.item.windows)
            narrow = min(working_size(window, self.downsample)) < MINIMUM_SIDE_PX
            if taken or narrow or tissue.fraction(window) < settings.minimum_tissue:
                continue
            yield KnownWindow(window, self.item.rest)

    def _write(self, folder: Path, number: int, slide: Slide, one: KnownWindow) -> _Cut:
        window, item = one.window, self.item
        height, width = working_size(window, self.downsample)
        array = _new_array(array_path(folder, number), height, width)
        pixels = hashlib.sha256()
        for y, x, block in _blocks(slide, window, self.downsample):
            array[y : y + block.shape[0], x : x + block.shape[1]] = block
            pixels.update(np.ascontiguousarray(block).tobytes())
        easy = self.catalogue.easy_place(region_id(item.name, window))
        info = RegionInfo(
            region_id=region_id(item.name, window),
            slide=item.slide,
            item=item.name,
            group=item.group,
            role=one.role,
            placement=placed(window, self.downsample),
            height=height,
            width=width,
            easy_fold=easy.fold,
            easy_half=easy.half,
            hard_fold=item.hard_fold,
            hard_half=item.hard_half,
            complete=item.complete_in(window),
            attributes=dict(item.attributes),
        )
        truth = self.catalogue.truth(item.name)
        return _Cut(
            info,
            pixels.hexdigest(),
            _centred_in(window, self.catalogue.annotations(item.name)),
            None if truth is None else _centred_in(window, truth),
        )


def _new_array(path: Path, height: int, width: int) -> zarr.Array[Any]:
    return zarr.create_array(
        store=path,
        shape=(height, width, 3),
        dtype="uint8",
        chunks=(CHUNK_PX, CHUNK_PX, 3),
        shards=(SHARD_PX, SHARD_PX, 3),
        compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=1),
                     Crc32cCodec()],
        fill_value=0,
    )  # fmt: skip


def _blocks(
    slide: Slide, window: Window, downsample: float
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yield y, x and pixels of the blocks of a window, in working pixels."""
    height, width = working_size(window, downsample)
    for rows, source_rows in spans(height, (window.y0, window.y1), SHARD_PX):
        for columns, source_columns in spans(width, (window.x0, window.x1), SHARD_PX):
            part = Window(
                source_columns.start, source_rows.start, source_columns.stop, source_rows.stop
            )
            shape = rows.stop - rows.start, columns.stop - columns.start
            yield rows.start, columns.start, slide.read(part, downsample, shape)


def _centred_in(window: Window, cells: Annotations) -> Annotations:
    return cells.take(window.contains((cells.boxes[:, :2] + cells.boxes[:, 2:]) / 2))


def _require_some(
    catalogue: Catalogue, settings: TileSettings, cuts: list[_Cut], refused: list[RefusedItem]
) -> None:
    if cuts:
        return
    reason = refused[0].reason if refused else (
        f"No window of the grid with at least {MINIMUM_SIDE_PX} working pixels a side has "
        f"{settings.minimum_tissue:.0%} tissue. Lower tiles.minimum_tissue, choose a smaller "
        f"tiles.region_px or a finer scale, or give annotated windows."
    )  # fmt: skip
    raise EmptyDatasetError(
        f"Dataset {catalogue.name}: none of {len(catalogue.items)} items has a region. {reason}"
    )


def _write_index(
    folder: Path, catalogue: Catalogue, cuts: list[_Cut], refused: list[RefusedItem]
) -> str:
    """Write the tables beside the pixels; return the digest of all of it, decoded."""
    partial = {cut.info.region_id: cut.annotations for cut in cuts}
    truth = {cut.info.region_id: cut.truth for cut in cuts if cut.truth is not None}
    write_tables(folder, partial, truth)
    index = {
        "dataset": catalogue.ref.digest,
        "n_folds": catalogue.n_folds,
        "regions": [cut.info.to_json() for cut in cuts],
        "refused": [{"name": one.name, "reason": ""} for one in refused],  # holds paths
    }
    stored = {**index, "refused": [asdict(one) for one in refused]}
    (folder / INDEX).write_text(json.dumps(stored, sort_keys=True, indent=1))
    cells = [
        {region_id: digest_of_cells(one) for region_id, one in table.items()}
        for table in (partial, truth)
    ]
    return digest_of({"index": index, "pixels": [cut.pixels for cut in cuts], "cells": cells})
