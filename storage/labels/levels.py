"""Levels of falling size of a label image, written a shard at a time by whoever has time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from models.errors import WorkspaceError
from storage.arrays import CHUNK_PX, SHARD_PX, open_array
from storage.block_work import require_seen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COARSEST_PX = 512
"""Levels are added until both sides of the last are this or less."""


@dataclass(frozen=True, slots=True)
class Image:
    """A stored label image, and the group that its levels are written to."""

    stored: Path
    group: Path
    """Absolute, like all paths that are sent to a worker."""
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """What is written at once: at most a shard of one level, read from the level before."""

    source: Path
    target: Path
    step: int
    """Every so many pixels of the source are taken."""
    part: tuple[slice, slice]
    """Of the target."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """What one worker does at once, in this order."""

    region_id: str
    blocks: tuple[Block, ...]


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the shapes of all levels of a pyramid, the finest first."""
    shapes = [(shape[0], shape[1])]
    while max(shapes[-1]) > COARSEST_PX:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


def is_one_block(shape: tuple[int, ...]) -> bool:
    """Return whether the finest level is a single block: then all levels are work for one."""
    return max(shape) <= SHARD_PX


def n_blocks(shape: tuple[int, ...]) -> int:
    """Return how many blocks all levels have together."""
    return sum(math.prod(-(-side // SHARD_PX) for side in one) for one in level_shapes(shape))


def new_levels(image: Image) -> None:
    """Create the empty arrays of all levels."""
    like = open_array(image.stored)
    for level, shape in enumerate(level_shapes(image.shape)):
        shard = tuple(min(SHARD_PX, -(-side // CHUNK_PX) * CHUNK_PX) for side in shape)
        zarr.create_array(
            store=str(image.group / str(level)),
            shape=shape,
            dtype=like.dtype,
            chunks=(CHUNK_PX, CHUNK_PX),
            shards=shard,
            fill_value=like.fill_value,
            # Blosc and crc32c belong to the core of zarr v3, so that every reader knows them.
            compressors=like.compressors,
            dimension_names=("y", "x"),
        )


def steps_of(region_id: str, images: tuple[Image, ...]) -> list[list[Blocks]]:
    """Return all work on images of one shape: each step needs the one before to be done.

    From the first level that is a single shard on, one worker does all that is left.
    """
    levels = [_level(images, level) for level in range(len(level_shapes(images[0].shape)))]
    steps: list[list[Blocks]] = []
    while levels and len(levels[0]) > len(images):
        steps.append([Blocks(region_id, (block,)) for block in levels.pop(0)])
    rest = tuple(block for level in levels for block in level)
    return [*steps, [Blocks(region_id, rest)]] if rest else steps


def _level(images: tuple[Image, ...], level: int) -> list[Block]:
    """Return all blocks of one level."""
    # Level 0 is copied, not linked: a program that edits it would change the version itself.
    step = 2 if level else 1
    return [
        Block(
            image.group / str(level - 1) if level else image.stored,
            image.group / str(level),
            step,
            part,
        )
        for image in images
        for part in _parts(level_shapes(image.shape)[level])
    ]


def _parts(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    for top, left in product(*(range(0, side, SHARD_PX) for side in shape)):
        bottom, right = min(top + SHARD_PX, shape[0]), min(left + SHARD_PX, shape[1])
        yield slice(top, bottom), slice(left, right)


def write_blocks(work: Blocks) -> int:
    """Write blocks, one after the other; return how many.

    Raises
    ------
    WorkspaceError
        If one cannot be written.
    IntegrityError
        If what is read was altered on disk.
    OperationsError
        If this worker does not see what the others see.
    """
    for block in work.blocks:
        require_seen(block.source, block.target)
        wider = tuple(
            slice(one.start * block.step, one.stop * block.step, block.step) for one in block.part
        )
        try:
            target: Any = zarr.open_array(store=str(block.target), mode="r+")
            target[block.part] = np.asarray(open_array(block.source)[wider])
        except OSError as error:
            raise unwritable(block.target, error) from error
    return len(work.blocks)


def unwritable(path: Path, error: OSError) -> WorkspaceError:
    """Return the error for a place that takes no files."""
    return WorkspaceError(
        f"{path}: cannot be written: {error.strerror or error}. Give another --output."
    )
