"""Cut slides into regions: what a person looked at, and the tissue around it."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from models.errors import EmptyDatasetError, InputError
from models.geometry.tiles import placed, working_downsample, working_size
from storage.artefacts import commit, digest_of, draft
from storage.block_work import hired
from storage.cutting import MINIMUM_SIDE_PX, Source, region_digest
from storage.cutting_slides import CutSlide, Cutting, place_for_cutting
from storage.datasets.cells import digest_of_cells, write_tables
from storage.datasets.protocol import RefusedItem
from storage.datasets.registered import open_catalogue, region_id
from storage.layout import Kind
from storage.parts import Parts
from storage.regions import INDEX, RegionInfo, array_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.annotations import Annotations
    from models.geometry.settings import TileSettings
    from models.geometry.tiles import Window
    from models.runtime_settings import DaskSettings
    from storage.datasets.protocol import KnownWindow
    from storage.datasets.registered import Catalogue, CatalogueItem
    from storage.layout import Ref, Workspace

WAITING = "cut"
"""Folder of a draft for the slides that are cut, where nobody wants them to outlive a kill."""

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
    parts: Parts | None = None,
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
    parts : Parts, optional
        Where slides wait for the others; those that a killed process left are taken over.

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
        finished = parts or Parts(work.path / WAITING)
        cutting = place_for_cutting(finished)
        slides = [
            CutSlide(item, Source(
                number, workers.job, item.path.absolute(), item.mpp, (item.width, item.height),
                item.windows, item.rest, downsample, settings, cutting / str(number),
            ))
            for number, (item, downsample) in enumerate(
                zip(catalogue.items, downsamples, strict=True)
            )
        ]  # fmt: skip
        Cutting(workers, slides, finished, progress or _silent).run(catalogue.file)
        regions, refused = _placed(catalogue, slides, finished, work.path)
        shutil.rmtree(work.path / WAITING, ignore_errors=True)
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


def _placed(
    catalogue: Catalogue, slides: list[CutSlide], parts: Parts, folder: Path
) -> tuple[list[_Region], list[RefusedItem]]:
    """Link each array to its final place; return what there is and what was left out."""
    regions: list[_Region] = []
    refused: list[RefusedItem] = []
    array_path(folder, 0).parent.mkdir()
    for slide in slides:
        if slide.error is not None:
            logger.warning("%s is left out: %s", slide.item.name, slide.error)
            refused.append(RefusedItem(slide.item.name, str(slide.error)))
            continue
        for number, one in enumerate(slide.windows):
            parts.link(f"{slide.part}/{number}", array_path(folder, len(regions)))
            regions.append(_region(catalogue, slide, number, one))
    return regions, refused


def _region(catalogue: Catalogue, slide: CutSlide, number: int, one: KnownWindow) -> _Region:
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
