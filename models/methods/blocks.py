"""Cells of one block of something larger, from what a network says of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import PixelClass
from models.geometry.boxes import centres
from models.instances.find import find_instances
from models.merging.stitching import reaching_out
from models.merging.three_steps import classify

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.geometry.tiles import Window
    from models.instances.find import PackedCells
    from models.instances.settings import InstanceSettings
    from models.merging.settings import MergeSettings


@dataclass(frozen=True, slots=True)
class BlockView:
    """Where a block lies and what is asked of it; windows in working pixels of the whole."""

    seen: Window
    """Where cells are looked for: the core with a margin."""
    core: Window
    """What the block answers for."""
    whole: Window
    """The region or slide: at its border cells end."""
    tolerance_px: int
    """How far the centre of a cell may move between two blocks."""
    instances: InstanceSettings
    masks: MergeSettings | None
    """Asks for the per-pixel classes that relabelling merges, above its threshold."""


@dataclass(frozen=True, slots=True)
class BlockFound:
    """What was found in one block."""

    cells: PackedCells
    """Those that the core may answer for, in working pixels of the whole."""
    reaches_out: bool
    """Whether one of the core may go on beyond what was seen."""
    masks: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None
    """Of the core, (h, w) each: values of `PixelClass`, and 255 x p(inner) where that is a cell, 0
    elsewhere."""


def find_in_block(
    edge: NDArray[np.float32], inner: NDArray[np.float32], view: BlockView
) -> BlockFound:
    """Return what there is in a block.

    Parameters
    ----------
    edge, inner : (h, w) float32
        Class probabilities of all that is seen, 0 to 1.
    view : BlockView
    """
    seen, core = view.seen, view.core
    found = find_instances(inner, edge, view.instances)
    low = np.array([seen.x0, seen.y0], np.float64)
    near = core.grown(view.tolerance_px).contains(centres(found.boxes) + low)
    own = np.s_[core.y0 - seen.y0 : core.y1 - seen.y0, core.x0 - seen.x0 : core.x1 - seen.x0]
    return BlockFound(
        found.packed(near, (seen.y0, seen.x0)),
        bool(reaching_out(found.boxes, seen, core, view.whole).any()),
        None if view.masks is None else _masks(edge[own], inner[own], view.masks),
    )


def _masks(
    edge: NDArray[np.float32], inner: NDArray[np.float32], settings: MergeSettings
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    classes = classify(edge, inner, settings)
    is_cell = (classes == PixelClass.EDGE) | (classes == PixelClass.INNER)
    return classes, np.where(is_cell, np.rint(inner * 255), 0).astype(np.uint8)
