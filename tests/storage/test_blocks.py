from pathlib import Path

import numpy as np
import pytest

from models.errors import SlideError
from models.geometry.tiles import STRIDE_PX, Window
from storage.blocks import MARGIN_PX, Block, BlockPixels, blocks_of
from storage.pyramids import Pyramid
from storage.slides import ImageSlide

PURPLE = np.array([150, 90, 160], np.uint8)


class Painted(Pyramid):
    """A slide in memory, white but for some rectangles of tissue."""

    def __init__(self, width, height, *tissue, background=245):
        self.pixels = np.full((height, width, 3), background, np.uint8)
        for x0, y0, x1, y1 in tissue:
            self.pixels[y0:y1, x0:x1] = PURPLE
        super().__init__(Path("painted.svs"), ((width, height),), 0.25)

    def close(self):
        """Nothing is open."""

    def _pixels(self, level, window):
        return self.pixels[window.y0 : window.y1, window.x0 : window.x1]


def test_only_blocks_with_tissue_are_looked_at():
    slide = Painted(2000, 1200, (100, 100, 700, 700))
    cores = [block.core for block in blocks_of(slide, 1.0, core_px=512)]
    assert cores == [
        Window(0, 0, 512, 512), Window(512, 0, 1024, 512),
        Window(0, 512, 512, 1024), Window(512, 512, 1024, 1024),
    ]  # fmt: skip


def test_a_region_image_is_looked_at_everywhere_even_if_it_is_dark(tmp_path):
    with ImageSlide(tmp_path / "dark.png", np.zeros((600, 700, 3), np.uint8), None) as slide:
        assert len(blocks_of(slide, 1.0, core_px=512)) == 4


def test_a_dark_slide_is_refused():
    with pytest.raises(SlideError, match="fluorescence"):
        blocks_of(Painted(1000, 800, background=10), 1.0)


def test_cores_cover_the_slide_once_and_windows_reach_a_margin_further():
    slide = Painted(3000, 2500, (0, 0, 3000, 2500))
    blocks = blocks_of(slide, 2.0, core_px=500)
    covered = np.zeros((2500, 3000), np.uint8)
    for block in blocks:
        core, window = block.core, block.window
        covered[core.y0 : core.y1, core.x0 : core.x1] += 1
        assert window == core.grown(2 * MARGIN_PX).clipped(Window(0, 0, 3000, 2500))
    assert (covered == 1).all()


def test_a_block_is_read_at_the_working_scale_and_placed_on_the_slide():
    slide = Painted(1000, 800, (400, 300, 500, 400))
    block = Block(Window(200, 100, 1000, 700), Window(300, 200, 900, 600))
    pixels = BlockPixels.of(slide, block, 2.0)
    assert (pixels.area.height, pixels.area.width) == (300, 400)
    y0, x0 = 100, 100  # level 0: x 400, y 300
    assert pixels.placement.to_level0([x0, y0]).tolist() == [400, 300]
    assert pixels.seen == Window(100, 50, 500, 350)
    y0, x0 = y0 + pixels.area.y0, x0 + pixels.area.x0
    assert (pixels.read(y0, x0, 50, 50) == PURPLE).all()
    assert (pixels.read(y0 - 10, x0 - 10, 10, 10) == 245).all()


@pytest.mark.parametrize("downsample", [1.0, 2.0, 1.37])
@pytest.mark.parametrize("around", [0, 50, 2000])
def test_what_is_read_begins_on_the_stride_and_reaches_around_as_far_as_the_slide_goes(
    downsample, around
):
    slide = Painted(1500, 1300, (0, 0, 1500, 1300))
    block = Block(Window(333, 400, 900, 1000), Window(333, 400, 900, 1000))
    pixels = BlockPixels.of(slide, block, downsample, around)
    height, width = pixels.shape
    (y0, x0), area = pixels.corner, pixels.area
    assert area.y0 >= min(around, y0)
    assert (y0 - area.y0) % STRIDE_PX == (x0 - area.x0) % STRIDE_PX == 0
    below, right = height - area.y0 - area.height, width - area.x0 - area.width
    assert below == min(around, round(1300 / downsample) - y0 - area.height)
    assert right == min(around, round(1500 / downsample) - x0 - area.width)
    np.testing.assert_allclose(
        pixels.placement.to_level0([0, 0]), [333, 400], atol=downsample / 2 + 0.5
    )
