"""Cut slides into regions: what a person looked at, and the tissue around it."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from models.errors import EmptyDatasetError, InputError
from models.geometry.tiles import placed, working_downsample, working_size
from storage.artefacts import commit, digest_of, draft
from storage.cutting import (
    BLOCK_PX,
    MINIMUM_SIDE_PX,
    Block,
    Finished,
    Source,
    Started,
    Whole,
    read_ahead,
)
from storage.datasets.cells import digest_of_cells, write_tables
from storage.datasets.protocol import RefusedItem
from storage.datasets.registered import open_catalogue, region_id
from storage.images import ImageDecoder
from storage.layout import Kind
from storage.regions import INDEX, RegionInfo, array_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.annotations import Annotations
    from models.geometry.settings import TileSettings
    from models.geometry.tiles import Window
    from storage.datasets.registered import Catalogue, CatalogueItem
    from storage.layout import Ref, Workspace

CHUNK_PX = 512
SHARD_PX = BLOCK_PX
"""A region is written in blocks that are aligned to its shards: bounded memory."""

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
    sources = [
        Source(catalogue, item, _downsample(item, settings), settings) for item in catalogue.items
    ]
    tell = progress or _silent
    with draft(at, Kind.REGIONS) as work, ImageDecoder() as decoder:
        writer = _Writer(work.path)
        things = (thing for source in sources for thing in source.read(decoder))
        with closing(read_ahead(things, decoder.close)) as ahead:
            tell(0, len(sources))
            for thing in ahead:
                writer.take(thing)
                if isinstance(thing, Finished):
                    tell(writer.n_finished, len(sources))
        _require_some(catalogue, settings, writer.cuts, writer.refused)
        digest = _write_index(work.path, catalogue, writer.cuts, writer.refused)
        return commit(at, Kind.REGIONS, work, digest)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
    del done, total


def _downsample(item: CatalogueItem, settings: TileSettings) -> float:
    try:
        return working_downsample(item.mpp, settings.mpp, settings.downsample)
    except InputError as error:
        raise InputError(f"{item.name}: {error}") from error


class _Writer:
    """Writes the pixels of regions as they come.

    Parameters
    ----------
    folder : Path
        Of the draft.
    """

    def __init__(self, folder: Path) -> None:
        self.cuts: list[_Cut] = []
        self.refused: list[RefusedItem] = []
        self.n_finished = 0
        """Slides."""
        self._folder = folder
        self._kept = 0
        """Regions of slides that were read to their end."""
        self._array: zarr.Array[Any] | None = None

    def take(self, thing: Started | Block | Whole | Finished) -> None:
        """Write a block, or what is now known of a region or of a slide."""
        if isinstance(thing, Started):
            path = array_path(self._folder, len(self.cuts))
            self._array = _new_array(path, thing.height, thing.width)
        elif isinstance(thing, Block) and self._array is not None:
            height, width = thing.pixels.shape[:2]
            rows = slice(thing.y0, thing.y0 + height)
            self._array[rows, thing.x0 : thing.x0 + width] = thing.pixels
        elif isinstance(thing, Whole):
            self.cuts.append(_cut(thing))
        elif isinstance(thing, Finished):
            self._finish(thing)

    def _finish(self, thing: Finished) -> None:
        if thing.error is not None:
            logger.warning("%s is left out: %s", thing.item.name, thing.error)
            self.refused.append(RefusedItem(thing.item.name, str(thing.error)))
            self._discard()
        self._kept = len(self.cuts)
        self.n_finished += 1

    def _discard(self) -> None:
        """Remove what was written of a slide that turned out to be damaged."""
        del self.cuts[self._kept :]
        for path in array_path(self._folder, 0).parent.glob("*"):
            if int(path.name) >= self._kept:
                shutil.rmtree(path)


def _cut(whole: Whole) -> _Cut:
    """Return what is known of a region that was written."""
    catalogue, item, window = whole.source.catalogue, whole.source.item, whole.one.window
    height, width = working_size(window, whole.source.downsample)
    easy = catalogue.easy_place(region_id(item.name, window))
    info = RegionInfo(
        region_id=region_id(item.name, window),
        slide=item.slide,
        item=item.name,
        group=item.group,
        role=whole.one.role,
        placement=placed(window, whole.source.downsample),
        height=height,
        width=width,
        easy_fold=easy.fold,
        easy_half=easy.half,
        hard_fold=item.hard_fold,
        hard_half=item.hard_half,
        complete=item.complete_in(window),
        attributes=dict(item.attributes),
    )
    truth = catalogue.truth(item.name)
    return _Cut(
        info,
        whole.digest,
        _centred_in(window, catalogue.annotations(item.name)),
        None if truth is None else _centred_in(window, truth),
    )


def _new_array(path: Path, height: int, width: int) -> zarr.Array[Any]:
    return zarr.create_array(
        store=path,
        shape=(height, width, 3),
        dtype="uint8",
        chunks=(CHUNK_PX, CHUNK_PX, 3),
        shards=(SHARD_PX, SHARD_PX, 3),
        compressors=[BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=1),
                     Crc32cCodec()],
        fill_value=0,
    )  # fmt: skip


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
