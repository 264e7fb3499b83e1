"""The work on a slide falls into chunks that are whole shards."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from models.annotations import Role
from models.geometry.settings import TileSettings
from models.geometry.tiles import Window, working_size
from storage.cutting import BLOCK_PX, Source, chunks_of, region_digest
from storage.datasets.protocol import KnownWindow

SIDES = st.integers(1, 3 * BLOCK_PX)
WINDOWS = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999), SIDES, SIDES), max_size=6)


def source(downsample=1.0):
    tiles = TileSettings(downsample=downsample)
    return Source(0, "job", Path("a.svs"), None, (1, 1), (), None, downsample, tiles, Path("cut"))


def windows_of(boxes):
    return [KnownWindow(Window(x, y, x + w, y + h), Role.POSITIVE) for x, y, w, h in boxes]


@given(WINDOWS, st.sampled_from([1.0, 1.37, 2.0]))
def test_chunks_are_whole_shards_and_cover_each_window_once(boxes, downsample):
    windows = windows_of(boxes)
    chunks = chunks_of(source(downsample), windows)
    shards = [
        (block.number, block.rows[0] // BLOCK_PX, block.columns[0] // BLOCK_PX)
        for chunk in chunks
        for block in chunk.blocks
    ]
    assert len(set(shards)) == len(shards)
    covered = dict.fromkeys(range(len(windows)), 0)
    for chunk in chunks:
        for block in chunk.blocks:
            sides = [end - begin for begin, end in (block.rows, block.columns)]
            assert block.rows[0] % BLOCK_PX == block.columns[0] % BLOCK_PX == 0
            assert max(sides) <= BLOCK_PX
            covered[block.number] += sides[0] * sides[1]
    for number, one in enumerate(windows):
        height, width = working_size(one.window, downsample)
        assert covered[number] == height * width


@given(WINDOWS)
def test_no_chunk_holds_more_pixels_than_one_full_shard(boxes):
    for chunk in chunks_of(source(), windows_of(boxes)):
        sizes = [
            (block.rows[1] - block.rows[0]) * (block.columns[1] - block.columns[0])
            for block in chunk.blocks
        ]
        assert 0 < sum(sizes) <= BLOCK_PX**2


def test_small_regions_are_bundled():
    boxes = [(512 * number, 0, 512, 512) for number in range(130)]
    assert [len(chunk.blocks) for chunk in chunks_of(source(), windows_of(boxes))] == [64, 64, 2]


def test_a_region_of_one_block_is_known_by_its_pixels_and_of_more_by_all_in_order():
    assert region_digest(["a"]) == "a"
    assert len({region_digest(["a", "b"]), region_digest(["b", "a"]), region_digest(["a"])}) == 3
