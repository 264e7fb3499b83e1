"""A network looks at regions: for the next labels, or to be evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from storage.layout import Kind, Ref
from tasks.network import DetectorRecipe, load_detector
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.annotations import Detections
    from models.geometry.tiles import Window
    from models.instances.find import PackedCells
    from models.merging.settings import MergeSettings
    from models.methods.blocks import BlockFound
    from storage.detections import BlockDraft, DetectionDraft
    from storage.regions import RegionInfo, Regions
    from tasks.looking import LookedAt, Opened
    from tasks.trial import Selection


SEAL_EVERY_S = 5.0
"""How often the finished blocks of a region are made to last. Two more may be under way, some ten
seconds each on a CPU: together a kill costs about as much as between regions."""


@stage(name="predict", version=4, makes=Kind.DETECTIONS)
def predict(
    work: Work,
    *,
    regions: Ref,
    selection: Selection,
    checkpoint: Ref,
    detector: DetectorRecipe,
    masks: MergeSettings | None,
) -> Ref:
    """Find cells in the selected regions; in blocks, where one is larger than a block.

    `masks` asks for the per-pixel classes that relabelling merges, above its threshold.
    """
    from storage.blocks import cores_of
    from storage.detections import DetectionDraft
    from storage.regions import open_regions
    from tasks.looking import looking

    source = open_regions(work.at, regions)
    ready = load_detector(work.at, detector, checkpoint)
    draft = DetectionDraft(work.at, work.parts)
    told, asked = _Told(work), []
    for info in selection.of(source):
        cores = cores_of(info.height, info.width)
        known = draft.keep(info.region_id)
        told.expect(len(cores), n_done=len(cores) if known else 0)
        if not known:
            asked.append(_Region(source, info, cores, _blocks(work, info, len(cores))))
    told.advance(0)
    heed = work.require_going_on
    with looking(work.at, ready, masks=masks, dask=work.dask, heed=heed) as network:
        found = network.each(block for one in asked for block in one.missing())
        for one in asked:
            one.put(draft, found, told)
    return draft.commit({"checkpoint": checkpoint.digest, "regions": regions.digest})


def _blocks(work: Work, info: RegionInfo, n_blocks: int) -> BlockDraft | None:
    """Return where the blocks of a region wait for each other, if there are several."""
    from storage.arrays import folder_name
    from storage.detections import BlockDraft
    from storage.parts import Parts

    if n_blocks == 1:
        return None
    return BlockDraft(
        Parts(work.unfinished.folder / "blocks" / folder_name(info.region_id), SEAL_EVERY_S),
        n_blocks,
    )


@dataclass(slots=True)
class _Told:
    """Tells whoever watches how many blocks are done."""

    work: Work
    n_done: int = 0
    n_all: int = 0

    def expect(self, n_blocks: int, n_done: int) -> None:
        """Add blocks to those there are, some of which may be done."""
        self.n_all += n_blocks
        self.n_done += n_done

    def advance(self, n_blocks: int = 1) -> None:
        """Say that some more are done."""
        self.n_done += n_blocks
        self.work.progress(self.n_done, self.n_all)


@dataclass(frozen=True, slots=True)
class _Region:
    """One region on its way."""

    source: Regions
    info: RegionInfo
    cores: list[Window]
    blocks: BlockDraft | None
    """Where blocks wait for each other, if there are several."""

    def missing(self) -> Iterator[LookedAt]:
        """Yield the blocks that are to be looked at."""
        from models.geometry.tiles import Window
        from tasks.looking import LookedAt

        whole = Window(0, 0, self.info.width, self.info.height)
        for number, core in enumerate(self.cores):
            if self.blocks is None or number not in self.blocks.kept:
                yield LookedAt(core, whole, partial(self._opened, core, whole))

    def _opened(self, core: Window, whole: Window, margin_px: int) -> Opened:
        from models.geometry.tiles import Area
        from storage.labelled import RegionBlocks
        from tasks.looking import Opened

        seen = core.grown(margin_px).clipped(whole)
        area = Area(seen.y0, seen.x0, seen.height, seen.width)
        return Opened(RegionBlocks(self.source, self.info), area, seen)

    def put(self, draft: DetectionDraft, found: Iterator[BlockFound], told: _Told) -> None:
        """Add the region to the draft; what is found in its missing blocks comes next."""
        from models.methods.detector import in_level0
        from storage.detections import FoundMasks

        region_id, placement = self.info.region_id, self.info.placement
        if self.blocks is not None:
            cells = self._stitched(self.blocks, found, told)
            draft.put(region_id, cells, self.blocks.masks(self.cores))
            draft.seal()  # the blocks are not kept any longer
            self.blocks.drop()
            return
        one = next(found)
        whole = FoundMasks(*one.masks) if one.masks else None
        draft.put(region_id, in_level0(one.cells, placement), whole)
        told.advance()

    def _stitched(self, blocks: BlockDraft, found: Iterator[BlockFound], told: _Told) -> Detections:
        """Return the cells of all blocks, each of them once."""
        from models.annotations import Detections
        from models.merging.stitching import Stitcher
        from models.methods.detector import in_level0
        from storage.blocks import TOLERANCE_PX, WIDE_MARGIN_PX

        stitcher, taken = Stitcher(TOLERANCE_PX, WIDE_MARGIN_PX), []
        for number, core in enumerate(self.cores):
            if number not in blocks.kept:
                blocks.put(number, _arrays(next(found)))
            cells = _cells(blocks, number)
            new = stitcher.new(cells, (0, 0), core)
            taken.append(in_level0(cells.take(new), self.info.placement))
            told.advance()
        return Detections.joined(taken)


def _arrays(found: BlockFound) -> dict[str, NDArray[Any]]:
    """Return what a block waits as; `_cells` reads it again."""
    cells = found.cells
    return {
        "boxes": cells.boxes,
        "scores": cells.scores,
        "points": cells.polygons.values,
        "offsets": cells.polygons.offsets,
        "bits": cells.bits.values,
        "bit_offsets": cells.bits.offsets,
        **dict(zip(("classes", "inner"), found.masks or (), strict=False)),
    }


def _cells(blocks: BlockDraft, number: int) -> PackedCells:
    from models.annotations import Polygons, Ragged
    from models.instances.find import PackedCells

    part = partial(blocks.array, number)
    return PackedCells(
        part("boxes"),
        part("scores"),
        Polygons(part("points"), part("offsets")),
        Ragged(part("bits"), part("bit_offsets")),
    )
