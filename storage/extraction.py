"""Cut slides into regions: what a person looked at, and the tissue around it."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from models.errors import EmptyDatasetError, InputError
from models.geometry.tiles import placed, working_downsample, working_size
from storage.artefacts import commit, digest_of, draft
from storage.block_work import hired
from storage.cutting import (
    MINIMUM_SIDE_PX,
    Cut,
    Source,
    array_folder,
    begin,
    chunks_of,
    cut,
    new_array,
    region_digest,
)
from storage.datasets.cells import digest_of_cells, write_tables
from storage.datasets.protocol import RefusedItem
from storage.datasets.registered import open_catalogue, region_id
from storage.layout import Kind
from storage.regions import INDEX, RegionInfo, array_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.annotations import Annotations
    from models.errors import ImageError
    from models.geometry.settings import TileSettings
    from models.geometry.tiles import Window
    from models.runtime_settings import DaskSettings
    from storage.block_work import Workers
    from storage.cutting import Begun, Chunk
    from storage.datasets.protocol import KnownWindow
    from storage.datasets.registered import Catalogue, CatalogueItem
    from storage.layout import Ref, Workspace

WAITING = "cut"
"""Folder of the arrays of slides that are not cut to their end, and may turn out damaged."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Region:
    """One region that was written."""

    info: RegionInfo
    pixels: str
    """The digest of its pixels."""
    annotations: Annotations
    truth: Annotations | None


def extract(
    at: Workspace,
    dataset: Ref,
    settings: TileSettings,
    progress: Callable[[int, int], None] | None = None,
    dask: DaskSettings | None = None,
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
    dask : DaskSettings, optional
        The cluster that reads and writes the blocks; without it threads do. The result is the same.

    Raises
    ------
    InputError
        If the settings ask for a scale that an item does not have.
    IntegrityError
        If an image was changed since it was registered.
    EmptyDatasetError
        If no slide has a region.
    OperationsError
        If the cluster cannot be used, or is lost.
    """
    catalogue = open_catalogue(at, dataset)
    downsamples = [_downsample(item, settings) for item in catalogue.items]
    with draft(at, Kind.REGIONS) as work, hired(dask) as workers:
        waiting = work.path.absolute() / WAITING
        slides = [
            _Slide(item, Source(
                number, workers.job, item.path.absolute(), item.mpp, (item.width, item.height),
                item.windows, item.rest, downsample, settings, waiting / str(number),
            ))
            for number, (item, downsample) in enumerate(
                zip(catalogue.items, downsamples, strict=True)
            )
        ]  # fmt: skip
        _Writing(workers, slides, progress or _silent).run(catalogue.file)
        regions, refused = _placed(catalogue, slides, work.path)
        _require_some(catalogue, settings, regions, refused)
        digest = _write_index(work.path, catalogue, regions, refused)
        return commit(at, Kind.REGIONS, work, digest)


def _silent(done: int, total: int) -> None:
    """Tell nobody."""
    del done, total


def _downsample(item: CatalogueItem, settings: TileSettings) -> float:
    try:
        return working_downsample(item.mpp, settings.mpp, settings.downsample)
    except InputError as error:
        raise InputError(f"{item.name}: {error}") from error


@dataclass(slots=True)
class _Slide:
    """One slide or image on its way."""

    item: CatalogueItem
    source: Source
    windows: tuple[KnownWindow, ...] = ()
    error: ImageError | None = None
    n_missing: int = 0
    """Blocks of which nothing was heard yet."""
    digests: list[list[str]] = field(default_factory=list)
    """Of the blocks of each window."""
    is_begun: bool = False

    def begun(self, what: Begun) -> list[Chunk]:
        """Take in what a worker found; return the work that is left."""
        self.is_begun, self.windows, self.error = True, what.windows, what.error
        self.digests = [[] for _ in what.windows]
        chunks = chunks_of(self.source, what.windows)
        self.n_missing = sum(len(chunk.blocks) for chunk in chunks)
        if what.cut is None:
            return chunks
        digests = iter(what.cut.digests)
        for chunk in chunks:
            self.take(chunk, Cut(tuple(islice(digests, len(chunk.blocks)))))
        return []

    def take(self, chunk: Chunk, done: Cut) -> None:
        """Take in what a worker made of a chunk."""
        self.error = self.error or done.error
        self.n_missing -= len(chunk.blocks)
        for block, digest in zip(chunk.blocks, done.digests, strict=False):
            self.digests[block.number].append(digest)


class _Writing:
    """Has workers write the pixels of regions.

    Parameters
    ----------
    workers
        Who does it.
    slides
        What to cut.
    tell : callable
        Called with the number of slides done and their total.
    """

    def __init__(
        self, workers: Workers, slides: list[_Slide], tell: Callable[[int, int], None]
    ) -> None:
        self._workers, self._slides, self._tell = workers, slides, tell
        self._n_finished = 0

    def run(self, file: Callable[[str], Path]) -> None:
        """Cut all slides; the tissue of the next is looked for while the blocks of one are cut.

        `file` returns the path of an item after a check that it is what was registered.
        """
        self._tell(0, len(self._slides))
        for chunk, done in self._workers.each(cut, self._chunks(file)):
            self._slides[chunk.source.number].take(chunk, done)
            self._tell_finished()
        self._tell_finished()

    def _sources(self, file: Callable[[str], Path]) -> Iterator[Source]:
        for slide in self._slides:
            file(slide.item.name)
            slide.source.folder.mkdir(parents=True)
            yield slide.source

    def _chunks(self, file: Callable[[str], Path]) -> Iterator[Chunk]:
        for source, begun in self._workers.each(begin, self._sources(file)):
            slide = self._slides[source.number]
            chunks = slide.begun(begun)
            for number, one in enumerate(slide.windows if chunks else ()):
                new_array(source, number, one.window)
            for chunk in chunks:
                if slide.error is None:
                    yield chunk
                else:
                    slide.take(chunk, Cut())

    def _tell_finished(self) -> None:
        while self._n_finished < len(self._slides):
            slide = self._slides[self._n_finished]
            if slide.n_missing or not slide.is_begun:
                return
            self._n_finished += 1
            self._tell(self._n_finished, len(self._slides))


def _placed(
    catalogue: Catalogue, slides: list[_Slide], folder: Path
) -> tuple[list[_Region], list[RefusedItem]]:
    """Move each array to its final place; return what there is and what was left out."""
    regions: list[_Region] = []
    refused: list[RefusedItem] = []
    array_path(folder, 0).parent.mkdir()
    for slide in slides:
        if slide.error is not None:
            logger.warning("%s is left out: %s", slide.item.name, slide.error)
            refused.append(RefusedItem(slide.item.name, str(slide.error)))
            continue
        for number, one in enumerate(slide.windows):
            array_folder(slide.source, number).rename(array_path(folder, len(regions)))
            regions.append(_region(catalogue, slide, number, one))
    shutil.rmtree(folder / WAITING)
    return regions, refused


def _region(catalogue: Catalogue, slide: _Slide, number: int, one: KnownWindow) -> _Region:
    """Return what is known of a region that was written."""
    item, window, downsample = slide.item, one.window, slide.source.downsample
    height, width = working_size(window, downsample)
    easy = catalogue.easy_place(region_id(item.name, window))
    info = RegionInfo(
        region_id=region_id(item.name, window),
        slide=item.slide,
        item=item.name,
        group=item.group,
        role=one.role,
        placement=placed(window, downsample),
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
    return _Region(
        info,
        region_digest(slide.digests[number]),
        _centred_in(window, catalogue.annotations(item.name)),
        None if truth is None else _centred_in(window, truth),
    )


def _centred_in(window: Window, cells: Annotations) -> Annotations:
    return cells.take(window.contains((cells.boxes[:, :2] + cells.boxes[:, 2:]) / 2))


def _require_some(
    catalogue: Catalogue, settings: TileSettings, regions: list[_Region], refused: list[RefusedItem]
) -> None:
    if regions:
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
    folder: Path, catalogue: Catalogue, regions: list[_Region], refused: list[RefusedItem]
) -> str:
    """Write the tables beside the pixels; return the digest of all of it, decoded."""
    partial = {one.info.region_id: one.annotations for one in regions}
    truth = {one.info.region_id: one.truth for one in regions if one.truth is not None}
    write_tables(folder, partial, truth)
    index = {
        "dataset": catalogue.ref.digest,
        "n_folds": catalogue.n_folds,
        "regions": [one.info.to_json() for one in regions],
        "refused": [{"name": one.name, "reason": ""} for one in refused],  # holds paths
    }
    stored = {**index, "refused": [asdict(one) for one in refused]}
    (folder / INDEX).write_text(json.dumps(stored, sort_keys=True, indent=1))
    cells = [
        {region_id: digest_of_cells(one) for region_id, one in table.items()}
        for table in (partial, truth)
    ]
    return digest_of({"index": index, "pixels": [one.pixels for one in regions], "cells": cells})
