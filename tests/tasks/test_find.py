import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torch import nn

from models.errors import InputError
from models.geometry.tiles import Window
from models.instances.settings import InstanceSettings
from models.methods.detector import Detector
from models.networks.segmenter import Segmenter
from models.prediction.settings import WindowSettings
from models.runtime import Runtime
from storage.blocks import Block, blocks_of
from storage.layout import Workspace
from storage.scale import Scale
from storage.slides import open_slide
from tasks.find import Finder, Survey, load_finder, surveys, write_found
from tasks.looking import looking
from tests.tasks.colours import Colours

SIDE = 400
CELLS = [(90, 90, 110, 112), (30, 40, 54, 60), (188, 196, 212, 214), (300, 10, 322, 30)]
"""The first and the third lie on borders of cores of 100 px."""


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[..., 0] = 255
    for x0, y0, x1, y1 in CELLS:
        image[y0:y1, x0:x1] = [0, 255, 0]
        image[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = [0, 0, 255]
    path = tmp_path_factory.mktemp("pictures") / "cells.png"
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def finder():
    detector = Detector(
        Colours(),
        WindowSettings(window_px=64, overlap_px=16),
        InstanceSettings(minimum_area_px=4),
        Runtime("cpu", "fp32", 1),
    )
    return Finder("c" * 32, detector, Scale(1.0, None))


def written(finder, asked, target, advance=lambda _: None):
    """Write the cells of one file and return how many there are."""
    with looking(Workspace(target.parent / "none"), finder.detector) as network:
        return write_found(finder, asked, target, network, lambda: advance(1))


def boxes_in(path):
    boxes = []
    for feature in json.loads(path.read_text())["features"]:
        ring = np.array(feature["geometry"]["coordinates"][0])
        boxes.append(tuple(np.concatenate([ring.min(axis=0), ring.max(axis=0)]).astype(int)))
    return sorted(boxes)


@pytest.mark.parametrize("core_px", [100, 57, 400])
def test_every_cell_is_found_once_whatever_the_blocks(finder, picture, tmp_path, core_px):
    with open_slide(picture) as slide:
        blocks = tuple(blocks_of(slide, 1.0, core_px=core_px))
    advanced: list[int] = []
    target = tmp_path / "cells.geojson"
    n_cells = written(finder, Survey(picture, None, 1.0, blocks), target, advanced.append)
    assert boxes_in(target) == sorted(CELLS)
    assert n_cells == len(CELLS)
    assert len(advanced) == len(blocks) == (-(-SIDE // core_px)) ** 2


def test_only_what_lies_in_the_looked_at_cores_is_found(finder, picture, tmp_path):
    core = Window(0, 0, 100, 100)
    block = Block(core.grown(64).clipped(Window(0, 0, SIDE, SIDE)), core)
    written(finder, Survey(picture, None, 1.0, (block,)), tmp_path / "a.geojson")
    assert boxes_in(tmp_path / "a.geojson") == sorted(CELLS[:2])


def test_a_survey_reads_at_the_scale_of_the_training(finder, picture):
    asked = surveys(Finder("c", finder.detector, Scale(2.0, 0.5)), [picture], 0.125)[picture]
    assert asked.downsample == 4.0
    assert len(asked.blocks) == 1


def test_coarser_images_than_those_of_the_training_are_refused(finder, picture):
    with pytest.raises(InputError, match=r"cells\.png.*trained at 0\.5"):
        surveys(Finder("c", finder.detector, Scale(2.0, 0.5)), [picture], 2.0)


def test_cells_come_back_in_pixels_of_the_file_whatever_the_working_scale(
    picture, tmp_path, finder
):
    coarse = Finder("c", finder.detector, Scale(2.0, None))
    target = tmp_path / "cells.geojson"
    written(coarse, surveys(coarse, [picture], None)[picture], target)
    found = np.array(boxes_in(target))
    assert np.abs(found - np.array(sorted(CELLS))).max() <= 2


def test_a_checkpoint_brings_network_settings_and_scale(ground, trained):
    finder = load_finder(ground.at, trained)
    assert finder.checkpoint == trained.digest
    assert finder.scale == Scale(1.0, None)
    assert finder.detector.windows == ground.config.windows
    assert finder.detector.instances == ground.config.instances


class SeesFarAway(Colours):
    """The colours of 192 pixels to the left."""

    def forward(self, images):
        return self.gain * nn.functional.pad(images, (192, 0, 0, 0))[..., : images.shape[-1]]


def test_the_network_sees_what_lies_around_a_block(finder, picture, tmp_path):
    network = Segmenter(SeesFarAway(), "softmax3", 1, border_px=192)
    network.mean.zero_()
    network.deviation.fill_(1)
    far = Finder("c", replace(finder.detector, network=network), Scale(1.0, None))
    with open_slide(picture) as slide:
        blocks = tuple(blocks_of(slide, 1.0, core_px=50))
    written(far, Survey(picture, None, 1.0, blocks), tmp_path / "a.geojson")
    moved = {(x0 + 192, y0, x1 + 192, y1) for x0, y0, x1, y1 in CELLS if x1 + 192 < SIDE}
    assert moved <= set(boxes_in(tmp_path / "a.geojson"))
