"""Blocks of anything are looked at in order, and their cells stitched to those of the whole."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import OperationsError
from models.geometry.tiles import Area, Window
from models.instances.settings import InstanceSettings
from models.merging.stitching import Stitcher
from models.methods.blocks import BlockView
from storage.blocks import TOLERANCE_PX, cores_of
from storage.layout import Workspace
from tasks.looking import Looked, LookedAt, Opened, found_in, looking
from tests.tasks.large import detector, drawn

GRID = 48
HERE = Window(0, 0, 9, 9)
VIEW = BlockView(HERE, HERE, HERE, 8, InstanceSettings(), None)
SIDES = st.integers(10, GRID)


class Picture:
    """Pixels in memory."""

    def __init__(self, image):
        self.image = image
        self.shape = image.shape[:2]

    def read(self, y0, x0, height, width):
        return self.image[y0 : y0 + height, x0 : x0 + width]


def blocks_of(image, core_px):
    """Return the blocks of a picture."""
    source = Picture(image)
    height, width = source.shape
    whole = Window(0, 0, width, height)

    def opened(core, margin_px):
        seen = core.grown(margin_px).clipped(whole)
        return Opened(source, Area(seen.y0, seen.x0, seen.height, seen.width), seen)

    cores = cores_of(height, width, core_px)
    return [LookedAt(core, whole, partial(opened, core)) for core in cores]


def stitched(network, blocks):
    """Return the boxes of the cells of all blocks."""
    stitcher, boxes = Stitcher(TOLERANCE_PX), []
    for block, found in zip(blocks, network.each(blocks), strict=True):
        boxes += found.cells.take(stitcher.new(found.cells, (0, 0), block.core)).boxes.tolist()
    return sorted(boxes)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with looking(Workspace(tmp_path_factory.mktemp("none")), detector()) as one:
        yield one


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 5), SIDES, SIDES),
        min_size=1, unique_by=lambda one: one[:2],
    ),
    st.sampled_from([60, 77, 100]),
    st.integers(0, 40),
)  # fmt: skip
def test_cells_anywhere_are_found_once_and_whole_whatever_the_cores(network, cells, core_px, cut):
    boxes = [(GRID * x, GRID * y, GRID * x + w, GRID * y + h) for x, y, w, h in cells]
    image = drawn(boxes, 6 * GRID + cut, 8 * GRID)
    (whole,) = network.each(blocks_of(image, 4096))
    blocks = blocks_of(image, core_px)
    assert len(blocks) > 1
    assert stitched(network, blocks) == sorted(whole.cells.boxes.tolist())


def test_a_cell_that_reaches_out_of_the_margin_is_seen_whole_and_once(network):
    cell = (100, 30, 700, 60)
    blocks = blocks_of(drawn([cell], 90, 1000), 150)
    assert len(blocks) > 2
    assert stitched(network, blocks) == [list(cell)]


def test_who_does_not_see_the_maps_says_so(tmp_path):
    with pytest.raises(OperationsError, match="a worker does not see it"):
        found_in(Looked(VIEW, None, tmp_path / "none.npy"))


def test_a_look_that_is_not_wanted_any_more_is_not_begun(tmp_path):
    looks: list[int] = []

    def heed():
        looks.append(len(looks))
        if len(looks) == 3:
            raise KeyboardInterrupt

    blocks = blocks_of(drawn([], 100, 900), 150)
    with (
        looking(Workspace(tmp_path), detector(), heed=heed) as network,
        pytest.raises(KeyboardInterrupt),
    ):
        list(network.each(blocks))
    assert len(looks) == 3


def test_nothing_to_look_at_is_nothing_found(network):
    assert list(network.each([])) == []
    assert np.array(stitched(network, blocks_of(drawn([], 60, 60), 4096))).size == 0
