"""Made-up tissue has the cells that it says it has."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from storage.datasets.synthetic.canvas import Canvas, Ellipse, Paint, smooth_noise
from storage.datasets.synthetic.organ import make_organ, on_slide
from storage.datasets.synthetic.regions import draw_region
from storage.datasets.synthetic.tissue import (
    draw_capillaries,
    draw_fat,
    draw_fibroblasts,
    draw_foamy_cells,
    draw_glands,
    draw_inflammation,
    is_clear_of,
)


@pytest.fixture(scope="module")
def region():
    return draw_region(make_organ(1), 0, 512, True, 3)


def test_the_same_seeds_draw_the_same_region(region):
    image, boxes = draw_region(make_organ(1), 0, 512, True, 3)
    assert (image == region[0]).all()
    assert (boxes == region[1]).all()


@pytest.mark.parametrize("other", [(2, 0, 3), (1, 1, 3), (1, 0, 4)])
def test_another_organ_slide_or_seed_draws_another_region(region, other):
    organ, slide, seed = other
    image, _ = draw_region(make_organ(organ), slide, 512, True, seed)
    assert (image != region[0]).mean() > 0.5


def test_a_region_is_a_picture_with_boxes_inside(region):
    image, boxes = region
    assert (image.shape, image.dtype) == ((512, 512, 3), np.uint8)
    assert boxes.shape[1] == 4
    assert 20 < len(boxes) < 50
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= 512).all()
    assert (boxes[:, 2:] - boxes[:, :2] > 8).all()


def test_a_region_without_target_cells_has_no_boxes():
    _, boxes = draw_region(make_organ(1), 0, 256, False, 3)
    assert boxes.shape == (0, 4)


def test_a_box_holds_a_pale_vacuole_and_a_dark_nucleus():
    organ = replace(make_organ(1), stroma=0.5, pallor=0.0, glands=0.0)
    image, boxes = draw_region(organ, 0, 512, True, 3)
    grey = image.mean(axis=2)
    for x0, y0, x1, y1 in boxes.astype(int):
        cell = grey[y0:y1, x0:x1]
        assert cell.max() > np.median(grey)
        assert cell.min() < np.median(grey) - 25


def test_cells_touch_but_do_not_cover_each_other(region):
    _, boxes = region
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    apart = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 10


def test_organs_differ_more_than_slides_of_one_organ():
    def stain(organ):
        return np.concatenate([organ.haematoxylin, organ.eosin])

    organs = [make_organ(seed) for seed in range(12)]
    between = np.std([stain(organ) for organ in organs], axis=0).mean()
    within = np.std([stain(on_slide(organs[0], n)) for n in range(12)], axis=0).mean()
    assert between > 1.5 * within > 0


@pytest.mark.parametrize(
    "draw",
    [draw_fat, draw_fibroblasts, draw_capillaries, draw_inflammation, draw_foamy_cells],
)
def test_each_kind_of_structure_leaves_its_mark(draw):
    canvas = Canvas(512, np.random.default_rng(0))
    organ = replace(make_organ(0), fat_cells=20.0, capillaries=20.0)
    draw(canvas, organ)
    marked = (canvas.haematoxylin > 0) | (canvas.eosin > 0)
    assert 0.001 < marked.mean() < 0.6


def test_glands_keep_apart_and_other_things_keep_clear_of_them():
    canvas = Canvas(1024, np.random.default_rng(0))
    centres = draw_glands(canvas, make_organ(0), 5)
    assert len(centres) > 1
    for n, (x, y) in enumerate(centres):
        others = centres[:n] + centres[n + 1 :]
        assert is_clear_of(others, x, y, 220)
    assert not is_clear_of(centres, *centres[0], 10)


def test_a_shape_is_painted_inside_its_outline_only():
    canvas = Canvas(100, np.random.default_rng(0))
    canvas.fill(Ellipse(50, 50, 20, 10), Paint(1.0, 0.5, 0.0, 0.5))
    rows, columns = np.nonzero(canvas.haematoxylin > 0.5)
    assert (columns.min(), columns.max()) == (31, 69)
    assert (rows.min(), rows.max()) == (41, 59)
    assert canvas.eosin[50, 50] == pytest.approx(0.5)


def test_a_shape_outside_the_canvas_changes_nothing():
    canvas = Canvas(50, np.random.default_rng(0))
    canvas.fill(Ellipse(500, 500, 20, 10), Paint(1.0, 0.5))
    assert not canvas.haematoxylin.any()


def test_more_stain_is_darker():
    canvas = Canvas(64, np.random.default_rng(0))
    canvas.haematoxylin[:, 32:] = 1
    picture = canvas.picture(make_organ(0))
    assert picture[:, :28].mean() > 240
    assert picture[:, 36:].mean() < picture[:, :28].mean() - 60


def test_noise_has_the_wanted_grain():
    fine, coarse = (smooth_noise(np.random.default_rng(0), 256, (c, c)) for c in (3, 60))
    for noise in (fine, coarse):
        assert noise.shape == (256, 256)
        assert 0.3 < noise.std() < 1.5
    steps = [np.abs(np.diff(noise, axis=1)).mean() for noise in (fine, coarse)]
    assert steps[0] > 5 * steps[1]


def test_drawing_does_not_depend_on_the_number_of_threads():
    before = cv2.getNumThreads()
    try:
        pictures = []
        for threads in (1, 2):
            cv2.setNumThreads(threads)
            pictures.append(draw_region(make_organ(5), 0, 256, True, 0)[0])
    finally:
        cv2.setNumThreads(before)
    assert (pictures[0] == pictures[1]).all()
