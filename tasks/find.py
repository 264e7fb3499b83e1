"""A stored checkpoint looks at slides and images of no dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.geometry.tiles import Placement, Window, level_window, on_stride
from models.networks.settings import NetworkSettings
from models.runtime import resolve
from models.runtime_settings import RuntimeSettings
from storage.checkpoints import load_card
from storage.layout import Kind, Ref
from storage.scale import Scale, training_scale
from tasks.network import DetectorRecipe, DetectorSettings, load_detector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from models.annotations import Detections
    from models.methods.detector import Detector
    from models.runtime_settings import DaskSettings
    from storage.blocks import Block
    from storage.layout import Workspace
    from storage.slides import Slide
    from tasks.looking import LookedAt, Looking


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


def surveys(
    finder: Finder, paths: Sequence[Path], mpp: float | None, dask: DaskSettings | None = None
) -> dict[Path, Survey]:
    """Return where there is tissue in each of some files; several are looked through at once.

    Parameters
    ----------
    finder, paths
        The network says at which scale, the files which.
    mpp
        Micrometres per pixel of all of them, in place of what the files say.
    dask
        The cluster whose workers open them; without it threads do.

    Raises
    ------
    InputError
        If one is no slide or image, or coarser than what the network was trained on.
    OperationsError
        If the cluster cannot be used, or is lost.
    """
    from storage.block_work import hired

    with hired(dask) as workers:
        asked = (_File(workers.job, path, path.absolute(), mpp, finder.scale) for path in paths)
        return {file.name: found for file, found in workers.each(_surveyed, asked)}


@dataclass(frozen=True, slots=True)
class _File:
    """One file to look through: all that a worker is sent."""

    job: str
    name: Path
    """As a person named it."""
    path: Path
    mpp: float | None
    scale: Scale


def _surveyed(file: _File) -> Survey:
    from storage.block_work import require_seen, slide_for
    from storage.blocks import blocks_of

    require_seen(file.path)
    with slide_for(file.job, file.path, file.mpp) as slide:
        downsample = on_stride(file.scale.downsample_of(file.name, slide.mpp))
        return Survey(file.name, file.mpp, downsample, tuple(blocks_of(slide, downsample)))


def write_found(
    finder: Finder, asked: Survey, target: Path, network: Looking, advance: Callable[[], None]
) -> int:
    """Write the cells of one file as GeoJSON and return how many there are.

    `network` looks at its blocks; `advance` is called after each.
    """
    from storage.geojson import found_features, write_features
    from storage.slides import open_slide

    with open_slide(asked.path, asked.mpp) as slide:
        finder.scale.say_assumed(asked.path, slide.mpp)
        features = (
            feature
            for cells in _cells(network, slide, asked, advance)
            for feature in found_features(cells, slide.name, finder.checkpoint)
        )
        return write_features(target, features)


def _cells(
    network: Looking, slide: Slide, asked: Survey, advance: Callable[[], None]
) -> Iterator[Detections]:
    """Yield the cells of each block, every cell in one of them only."""
    from models.merging.stitching import Stitcher
    from models.methods.detector import in_level0
    from storage.blocks import TOLERANCE_PX, WIDE_MARGIN_PX

    stitcher, placement = Stitcher(TOLERANCE_PX, WIDE_MARGIN_PX), Placement(0, 0, asked.downsample)
    blocks = [_block(slide, one.core, asked.downsample, network) for one in asked.blocks]
    for block, found in zip(blocks, network.each(blocks), strict=True):
        kept = stitcher.new(found.cells, (0, 0), block.core)
        yield in_level0(found.cells.take(kept), placement)
        advance()


def _block(slide: Slide, core: Window, downsample: float, network: Looking) -> LookedAt:
    """Return a block of a slide as it is looked at."""
    from storage.blocks import BlockPixels, block_around
    from tasks.looking import LookedAt, Opened

    def opened(margin_px: int) -> Opened:
        block = block_around(core, slide, downsample, margin_px)
        pixels = BlockPixels.of(slide, block, downsample, network.detector.around_px)
        return Opened(pixels, pixels.area, pixels.seen)

    whole = Window(0, 0, slide.width, slide.height)
    return LookedAt(level_window(core, downsample), level_window(whole, downsample), opened)
