"""A stored checkpoint looks at slides and images of no dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.geometry.tiles import Window, level_window, on_stride
from models.networks.settings import NetworkSettings
from models.runtime import resolve
from models.runtime_settings import RuntimeSettings
from storage.checkpoints import load_card
from storage.layout import Kind, Ref
from storage.scale import Scale, training_scale
from tasks.network import DetectorRecipe, DetectorSettings, load_detector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from models.annotations import Detections
    from models.methods.detector import Detector, Found
    from storage.blocks import Block, BlockPixels
    from storage.layout import Workspace
    from storage.slides import Slide


@dataclass(frozen=True, slots=True)
class Finder:
    """A detector with the scale that it was trained at."""

    checkpoint: str
    """Digest of its weights."""
    detector: Detector
    scale: Scale


@dataclass(frozen=True, slots=True)
class Survey:
    """What is to be looked at in one file."""

    path: Path
    mpp: float | None
    """What a person says of its pixels; None: the file knows."""
    downsample: float
    blocks: tuple[Block, ...]


def load_finder(at: Workspace, checkpoint: Ref) -> Finder:
    """Return a checkpoint as it was trained: its network, windows and candidate floor.

    Device, precision and threads are those of this machine.
    """
    card = load_card(at, checkpoint)
    recipe = DetectorRecipe(
        NetworkSettings.model_validate(card["network"]),
        DetectorSettings.model_validate(card["detector"]),
        resolve(RuntimeSettings()),
    )
    scale = training_scale(at, Ref(Kind.REGIONS, card["regions"]))
    return Finder(checkpoint.digest, load_detector(at, recipe, checkpoint), scale)


def survey(finder: Finder, path: Path, mpp: float | None) -> Survey:
    """Open a file and return where there is tissue in it.

    Raises
    ------
    InputError
        If it is no slide or image, or coarser than what the network was trained on.
    """
    from storage.blocks import blocks_of
    from storage.slides import open_slide

    with open_slide(path, mpp) as slide:
        downsample = on_stride(finder.scale.downsample_of(path, slide.mpp))
        return Survey(path, mpp, downsample, tuple(blocks_of(slide, downsample)))


def write_found(finder: Finder, asked: Survey, target: Path, advance: Callable[[], None]) -> int:
    """Write the cells of one file as GeoJSON and return how many there are.

    `advance` is called after each block.
    """
    from storage.geojson import found_features, write_features
    from storage.slides import open_slide

    with open_slide(asked.path, asked.mpp) as slide:
        features = (
            feature
            for cells in _cells(finder.detector, slide, asked, advance)
            for feature in found_features(cells, slide.name, finder.checkpoint)
        )
        return write_features(target, features)


def _cells(
    detector: Detector, slide: Slide, asked: Survey, advance: Callable[[], None]
) -> Iterator[Detections]:
    """Yield the cells of each block, every cell in one of them only."""
    from models.merging.stitching import Stitcher
    from storage.blocks import MARGIN_PX

    stitcher = Stitcher(tolerance_px=MARGIN_PX // 16)
    for block in asked.blocks:
        pixels, found = _look(detector, slide, block, asked.downsample)
        core = level_window(block.core, asked.downsample)
        kept = stitcher.new(found.cells, pixels.corner, core)
        yield found.in_level0(pixels.placement).take(kept)
        advance()


def _look(
    detector: Detector, slide: Slide, block: Block, downsample: float
) -> tuple[BlockPixels, Found]:
    """Return a block with its cells; with a wider margin if one reaches out of the usual one."""
    from models.merging.stitching import reaching_out
    from storage.blocks import WIDE_MARGIN_PX, BlockPixels, block_around

    pixels = BlockPixels.of(slide, block, downsample, detector.around_px)
    found = detector.find(pixels, pixels.area)
    whole, core = (
        level_window(window, downsample)
        for window in (Window(0, 0, slide.width, slide.height), block.core)
    )
    if not reaching_out(found.cells.boxes, pixels.seen, core, whole).any():
        return pixels, found
    wide = block_around(block.core, slide, downsample, WIDE_MARGIN_PX)
    pixels = BlockPixels.of(slide, wide, downsample, detector.around_px)
    return pixels, detector.find(pixels, pixels.area)
