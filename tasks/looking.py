"""A network looks at the blocks of regions and slides, while workers find cells in the last ones.

The one way for `tasks.predict` and `tasks.find`. The network runs in this process and in the thread
that asks for results; threads, or a Dask cluster, do what follows. What they make is handed on in
order, so that cells that two blocks see are told apart one block after the other.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.methods.blocks import BlockView, find_in_block
from storage.arrays import save_array
from storage.artefacts import draft
from storage.block_work import hired, require_seen
from storage.blocks import MARGIN_PX, TOLERANCE_PX, WIDE_MARGIN_PX
from storage.layout import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from models.geometry.tiles import Area, Window
    from models.merging.settings import MergeSettings
    from models.methods.blocks import BlockFound
    from models.methods.detector import Detector
    from models.prediction.protocols import BlockSource
    from models.runtime_settings import DaskSettings
    from storage.block_work import Workers
    from storage.layout import Workspace

MOST_AHEAD = 8
"""Blocks whose maps wait for workers, or are with them: 42 MB each."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The pixels of one block, with those around it that a network sees."""

    source: BlockSource
    area: Area
    """The block, in pixels of the source."""
    seen: Window
    """The same, in working pixels of the whole."""


@dataclass(frozen=True, slots=True)
class LookedAt:
    """One part of a region or slide that is to be looked at; windows in working pixels."""

    core: Window
    """What it answers for."""
    whole: Window
    """The region or slide."""
    opened: Callable[[int], Opened]
    """Returns the core with a margin of so many working pixels; called from one thread at a time,
    not always the same."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What the network says of one block: all that a worker is sent."""

    view: BlockView
    maps: NDArray[np.float32] | None
    """(2, h, w) of edge and inner."""
    path: Path | None
    """Where the maps lie instead, for workers that are other processes."""


def found_in(looked: Looked) -> BlockFound:
    """Return the cells of a block; the work of one worker."""
    maps = looked.maps
    if maps is None:
        assert looked.path is not None  # noqa: S101  # one of the two is there
        require_seen(looked.path)
        maps = np.load(looked.path, allow_pickle=False)
    return find_in_block(maps[0], maps[1], looked.view)


@contextmanager
def looking(
    at: Workspace,
    detector: Detector,
    *,
    masks: MergeSettings | None = None,
    dask: DaskSettings | None = None,
    heed: Callable[[], None] = lambda: None,
) -> Iterator[Looking]:
    """Yield who looks at blocks with a detector.

    Parameters
    ----------
    at : Workspace
        Its disk carries the maps to the workers of a cluster.
    detector : Detector
    masks : MergeSettings, optional
        Asks for the per-pixel classes that relabelling merges, above its threshold.
    dask : DaskSettings, optional
        The cluster whose workers find the cells; without it threads do. The result is the same.
    heed : callable
        Called before each look; what it raises ends the work.

    Raises
    ------
    OperationsError
        If the cluster cannot be used, or is lost.
    """
    with hired(dask, MOST_AHEAD) as workers:
        if dask is None:
            yield Looking(detector, masks, workers, None, heed)
        else:
            # A file takes half as long as an array sent along (for 42 MB 0.05 against 0.1 to 0.2
            # s), passes no scheduler, and is there when another does a lost worker's block.
            # Never committed: the folder is gone afterwards, and gc takes it after a kill.
            with draft(at, Kind.DETECTIONS) as scratch:
                yield Looking(detector, masks, workers, scratch.path.absolute(), heed)


@dataclass(slots=True)
class Looking:
    """Looks at blocks; made by `looking`."""

    detector: Detector
    masks: MergeSettings | None
    workers: Workers
    scratch: Path | None
    heed: Callable[[], None]
    _n_looks: int = 0

    def each(self, blocks: Iterable[LookedAt]) -> Iterator[BlockFound]:
        """Yield what there is in each block, in their order.

        A block is looked at again with a wider margin if a cell reaches out of the usual one.
        """
        under_way: deque[LookedAt] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="blocks") as reader:

            def looks() -> Iterator[Looked]:
                for block, opened in _read_ahead(reader, blocks):
                    under_way.append(block)
                    yield self._look(block, opened)

            for looked, found in self.workers.each(found_in, looks()):
                self._forget(looked)
                block = under_way.popleft()
                yield self._again(reader, block) if found.reaches_out else found

    def _again(self, reader: ThreadPoolExecutor, block: LookedAt) -> BlockFound:
        looked = self._look(block, reader.submit(block.opened, WIDE_MARGIN_PX).result())
        ((_, found),) = self.workers.each(found_in, [looked])
        self._forget(looked)
        return found

    def _look(self, block: LookedAt, opened: Opened) -> Looked:
        self.heed()
        maps = self.detector.look(opened.source, opened.area)
        view = BlockView(
            opened.seen, block.core, block.whole, TOLERANCE_PX, self.detector.instances, self.masks
        )
        if self.scratch is None:
            return Looked(view, maps, None)
        self._n_looks += 1
        path = self.scratch / f"{self._n_looks}.npy"
        save_array(path, maps)
        return Looked(view, None, path)

    def _forget(self, looked: Looked) -> None:
        if looked.path is not None:
            looked.path.unlink()


def _read_ahead(
    reader: ThreadPoolExecutor, blocks: Iterable[LookedAt]
) -> Iterator[tuple[LookedAt, Opened]]:
    """Yield blocks with their pixels; the next are read while somebody looks at these."""
    coming = iter(blocks)
    block = next(coming, None)
    opened = block and reader.submit(block.opened, MARGIN_PX)
    while block and opened:
        pixels, this = opened.result(), block
        block = next(coming, None)
        opened = block and reader.submit(block.opened, MARGIN_PX)
        yield this, pixels
