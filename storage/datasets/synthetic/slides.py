"""Write made-up slides the way an Aperio scanner does, with their annotations beside them."""

from __future__ import annotations

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import tifffile

from models.annotations import Role
from models.errors import WorkspaceError
from storage.datasets.synthetic.qupath import write_geojson
from storage.datasets.synthetic.sections import SlidePlan, draw_slide, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from storage.datasets.synthetic.settings import SyntheticSettings

INDEX = "dataset.json"
FORMAT_VERSION = 1
MPP = 0.25
POWER = 40
LEVEL_DOWNSAMPLES = (1, 2, 4, 8)
TILE_PX = 512
JPEG_QUALITY = 90
THUMBNAIL_DOWNSAMPLE = 16
MEGAPIXELS_PER_PROCESS = 60
"""A second process pays off when it has about a second of work."""


def make_dataset(
    folder: Path,
    settings: SyntheticSettings,
    *,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write slides, annotations, complete truth and ``dataset.json`` into a folder.

    A folder that already holds the dataset of these settings is left as it is.

    Parameters
    ----------
    folder : Path
        Made if need be; files of the same names are replaced.
    settings : SyntheticSettings
        The same settings give the same bytes.
    processes : int, optional
        Default: two where there is enough to do for them.
    progress : callable, optional
        Called with the number of slides done and their total.

    Raises
    ------
    WorkspaceError
        If the folder cannot be written.
    """
    if is_made(folder, settings):
        return
    slides = list(plan(settings))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INDEX).unlink(missing_ok=True)
        entries: dict[str, dict[str, Any]] = {}
        for entry in _write_all(folder, slides, settings, processes):
            entries[entry["name"]] = entry
            if progress is not None:
                progress(len(entries), len(slides))
        _write_index(folder, settings, [entries[one.name] for one in slides])
    except OSError as error:
        raise WorkspaceError(
            f"{folder}: the synthetic slides cannot be written ({error.strerror}). "
            f"Give a writable folder on a disk with room."
        ) from error


def is_made(folder: Path, settings: SyntheticSettings) -> bool:
    """Return whether a folder already holds the dataset of these settings."""
    try:
        index = json.loads((folder / INDEX).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(index, dict) and index.get("settings") == settings.model_dump(mode="json")


def _write_all(
    folder: Path, slides: list[SlidePlan], settings: SyntheticSettings, processes: int | None
) -> Iterator[dict[str, Any]]:
    if processes is None:
        megapixels = sum(one.width * one.height for one in slides) / 1e6
        useful = 1 + int(megapixels > MEGAPIXELS_PER_PROCESS)
        processes = min(useful, os.cpu_count() or 1)
    if processes == 1:
        for one in slides:
            yield write_slide(folder, one, settings)
        return
    # Spawn: a fork would copy the locks of threads that torch or Prefect may hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, cv2.setNumThreads, (1,)) as pool:
        waiting = [pool.submit(write_slide, folder, one, settings) for one in slides]
        for done in as_completed(waiting):
            yield done.result()


def write_slide(folder: Path, one: SlidePlan, settings: SyntheticSettings) -> dict[str, Any]:
    """Write a slide and its two GeoJSON files; return its entry in ``dataset.json``."""
    drawn = draw_slide(one, settings)
    slide, partial, truth = (
        folder / f"{one.name}{end}" for end in (".svs", ".geojson", ".truth.geojson")
    )
    write_svs(slide, drawn.image)
    windows = [one.window(n) for n, role in enumerate(one.roles) if role is Role.POSITIVE]
    marked_ids = [i for i, marked in zip(drawn.ids, drawn.marked, strict=True) if marked]
    write_geojson(partial, marked_ids, drawn.boxes[drawn.marked], windows)
    write_geojson(truth, drawn.ids, drawn.boxes, [])
    return {
        "name": one.name,
        "slide": slide.name,
        "annotations": partial.name,
        "truth": truth.name,
        "organ": f"organ{one.organ:02d}",
        "rest": one.rest.value,
        "width": one.width,
        "height": one.height,
        "mpp": MPP,
        "n_annotated": len(marked_ids),
        "n_cells": len(drawn.ids),
    }


def _write_index(folder: Path, settings: SyntheticSettings, entries: list[dict[str, Any]]) -> None:
    index = {
        "format": "signetflow-synthetic",
        "format_version": FORMAT_VERSION,
        "settings": settings.model_dump(mode="json"),
        "slides": entries,
    }
    draft = folder / f".{INDEX}.draft"
    draft.write_text(json.dumps(index, indent=1))
    draft.replace(folder / INDEX)


def write_svs(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a picture (h, w, 3) as a pyramid that tiffslide and OpenSlide read as Aperio.

    Their order is the format: level 0, a thumbnail in strips, then the coarser levels. None of
    them may carry the flag of a reduced image: readers would stop there and list one level.
    """
    height, width = image.shape[:2]
    about = f"Aperio Image Library v12.0\r\n{width}x{height} ({TILE_PX}x{TILE_PX}) JPEG/RGB"
    description = f"{about} Q={JPEG_QUALITY}|AppMag = {POWER}|MPP = {MPP}"
    with tifffile.TiffWriter(path, bigtiff=False) as writer:
        _write_page(writer, image, description)
        _write_page(writer, _shrunk(image, THUMBNAIL_DOWNSAMPLE), about, tiled=False)
        for downsample in LEVEL_DOWNSAMPLES[1:]:
            _write_page(writer, _shrunk(image, downsample), about)


def _write_page(
    writer: tifffile.TiffWriter, image: NDArray[np.uint8], description: str, *, tiled: bool = True
) -> None:
    writer.write(
        image,
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": JPEG_QUALITY},
        tile=(TILE_PX, TILE_PX) if tiled else None,
        rowsperstrip=None if tiled else 16,
        description=description,
        metadata=None,
        software=False,
    )


def _shrunk(image: NDArray[np.uint8], downsample: int) -> NDArray[np.uint8]:
    height, width = image.shape[0] // downsample, image.shape[1] // downsample
    smaller = cv2.resize(image, (max(1, width), max(1, height)), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)
