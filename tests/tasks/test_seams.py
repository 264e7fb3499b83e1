"""Cells of a slide, however it was cut into blocks: each of them once and whole."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from models.geometry.boxes import overlaps
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.geometry.tiles import Window
from models.instances.settings import InstanceSettings
from models.methods.detector import Detector
from models.networks.segmenter import Segmenter
from models.prediction.settings import WindowSettings
from models.runtime import Runtime
from storage.blocks import Block, block_around, blocks_of
from storage.layout import Workspace
from storage.scale import Scale
from storage.slides import open_slide
from tasks.find import Finder, Survey, surveys, write_found
from tasks.looking import looking

SIDE = 1500
LARGE = (560, 900, 1010, 1200)
"""A cell of 450 x 300: cores of 300 meet in it, and it reaches out of every usual margin."""


class SeesFar(nn.Module):
    """Classes by colour, blurred, and moved by what lies in coarse squares around."""

    def __init__(self):
        super().__init__()
        self.blur = nn.Conv2d(3, 3, 7, padding=3, bias=False)
        self.coarse = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        with torch.no_grad():
            self.blur.weight.zero_()
            self.coarse.weight.zero_()
            for k in range(3):
                self.blur.weight[k, k] = 4 / 49
                self.coarse.weight[k, k] = 1 / 9

    def forward(self, x):
        coarse = nn.functional.avg_pool2d(x, 16)
        for _ in range(8):
            coarse = self.coarse(coarse)
        return self.blur(x) + 6 * nn.functional.interpolate(coarse, scale_factor=16)


def crowd():
    """Return boxes of cells that touch, 36 in a row, and a large one among them."""
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(np.arange(37), np.arange(37)), axis=-1).reshape(-1, 2)
    middles = 40 * places + 30 + rng.uniform(-3, 3, places.shape)
    halves = rng.uniform(12, 20, places.shape)
    boxes = np.hstack([middles - halves, middles + halves])
    free = (boxes[:, 2:] < np.array(LARGE[:2]) - 4) | (boxes[:, :2] > np.array(LARGE[2:]) + 4)
    return np.vstack([boxes[free.any(axis=1)], [LARGE]])


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    classes, _ = rasterise(crowd(), (SIDE, SIDE), EllipseSettings())
    image = np.eye(3)[classes] * 160 + np.random.default_rng(1).uniform(0, 95, (SIDE, SIDE, 3))
    path = tmp_path_factory.mktemp("pictures") / "crowd.png"
    Image.fromarray(image.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def finder():
    network = Segmenter(SeesFar(), "softmax3", 16, border_px=144)
    runtime = Runtime("cpu", "fp32", 1)
    detector = Detector(network, WindowSettings(window_px=512), InstanceSettings(), runtime)
    return Finder("c" * 32, detector, Scale(1.0, None))


@pytest.fixture(scope="module")
def in_one_block(finder, picture, tmp_path_factory):
    whole = Window(0, 0, SIDE, SIDE)
    return found(finder, picture, (Block(whole, whole),), tmp_path_factory.mktemp("one"))


def found(finder, picture, blocks, folder, downsample=1.0):
    """Return the boxes of what is written of a picture."""
    target = folder / "cells.geojson"
    asked = Survey(picture, None, downsample, tuple(blocks))
    with looking(Workspace(folder / "none"), finder.detector) as network:
        write_found(finder, asked, target, network, lambda: None)
    rings = [
        np.array(feature["geometry"]["coordinates"][0])
        for feature in json.loads(target.read_text())["features"]
    ]
    return np.array([[*ring.min(axis=0), *ring.max(axis=0)] for ring in rings])


def shifted(slide, core_px, shift):
    """Return blocks whose grid begins before the slide."""
    whole = Window(0, 0, SIDE, SIDE)
    for y0 in range(-shift, SIDE, core_px):
        for x0 in range(-shift, SIDE, core_px):
            core = Window(x0, y0, x0 + core_px, y0 + core_px).clipped(whole)
            yield block_around(core, slide, 1.0, 128)


def require_same(boxes, expected):
    pairs = overlaps(boxes, expected, 0.9)
    assert len(pairs.rows) >= 0.995 * max(len(boxes), len(expected))
    assert len(overlaps(boxes, boxes, 0.5).rows) == len(boxes), "a cell was found twice"


def test_a_slide_in_one_block_has_a_thousand_cells_and_the_large_one(in_one_block):
    assert len(in_one_block) > 1000
    assert len(overlaps(in_one_block, crowd(), 0.5).rows) > 1000
    assert len(overlaps(in_one_block, np.array([LARGE], np.float64), 0.9).rows) == 1


@pytest.mark.parametrize(
    "core_px",
    [512, pytest.param(300, marks=pytest.mark.slow), pytest.param(1024, marks=pytest.mark.slow)],
)
def test_the_size_of_the_blocks_changes_no_cell(finder, picture, in_one_block, tmp_path, core_px):
    with open_slide(picture) as slide:
        blocks = blocks_of(slide, 1.0, core_px=core_px)
    boxes = found(finder, picture, blocks, tmp_path)
    require_same(boxes, in_one_block)
    assert len(overlaps(boxes, np.array([LARGE], np.float64), 0.9).rows) == 1


@pytest.mark.parametrize(
    "shift",
    [57, pytest.param(1, marks=pytest.mark.slow), pytest.param(150, marks=pytest.mark.slow)],
)
def test_the_grid_of_blocks_changes_no_cell(finder, picture, in_one_block, tmp_path, shift):
    with open_slide(picture) as slide:
        blocks = list(shifted(slide, 512, shift))
    require_same(found(finder, picture, blocks, tmp_path), in_one_block)


@pytest.mark.slow
def test_blocks_change_no_cell_where_pixels_are_no_whole_ones_of_the_slide(
    finder, picture, tmp_path
):
    with Image.open(picture) as image:
        larger = image.resize((round(SIDE * 1.37), round(SIDE * 1.37)), Image.Resampling.BILINEAR)
    larger.save(tmp_path / "larger.png")
    larger = tmp_path / "larger.png"
    asked = surveys(replace(finder, scale=Scale(1.37, None)), [larger], None)[larger]
    with open_slide(asked.path) as slide:
        small = blocks_of(slide, asked.downsample, core_px=300)
    folders = tmp_path / "whole", tmp_path / "blocks"
    for folder in folders:
        folder.mkdir()
    boxes = [
        found(finder, asked.path, blocks, folder, asked.downsample)
        for folder, blocks in zip(folders, (asked.blocks, small), strict=True)
    ]
    assert len(asked.blocks) == 1
    require_same(boxes[1], boxes[0])
