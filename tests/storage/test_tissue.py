"""Tissue is what is stained."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from models.errors import SlideError
from models.geometry.tiles import Window
from storage.slides import open_slide
from storage.tissue import TissueMap, tissue_of

PINK = (225, 170, 210)
GLASS = 243


def glass(height=300, width=300):
    rng = np.random.default_rng(0)
    return np.clip(GLASS + rng.normal(0, 3, (height, width, 3)), 0, 255).astype(np.uint8)


def test_pale_tissue_is_found_on_glass():
    image = glass()
    image[100:200, 100:200] = PINK
    mask = tissue_of(image)
    assert mask[110:190, 110:190].all()
    assert mask.mean() == pytest.approx(1 / 9, abs=0.03)


def test_empty_glass_holds_no_tissue():
    assert not tissue_of(glass()).any()


def test_a_picture_that_is_all_tissue_is_not_split_into_dark_and_pale():
    image = np.empty((300, 300, 3), np.uint8)
    image[:, :150] = PINK
    image[:, 150:] = (120, 40, 130)
    assert tissue_of(image).all()


def test_grey_dust_and_shadow_are_not_tissue():
    image = glass()
    image[100:200, 100:200] = 120
    assert not tissue_of(image).any()


def test_a_small_lumen_belongs_to_its_tissue():
    image = glass()
    image[50:250, 50:250] = PINK
    image[148:153, 148:153] = GLASS
    assert tissue_of(image)[60:240, 60:240].all()


def test_the_fraction_of_a_window_is_in_level_0_pixels(tmp_path):
    image = glass(2400, 2400)
    image[:, 1200:] = PINK
    Image.fromarray(image).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        tissue = TissueMap(slide)
    assert tissue.fraction(Window(1300, 0, 2400, 2400)) == 1
    assert tissue.fraction(Window(0, 0, 1100, 2400)) == 0
    assert tissue.fraction(Window(600, 0, 1800, 2400)) == pytest.approx(0.5, abs=0.02)
    assert tissue.fraction(Window(3000, 3000, 3100, 3100)) == 0


def test_a_fluorescence_slide_is_refused(tmp_path):
    image = np.zeros((300, 300, 3), np.uint8)
    image[100:200, 100:200, 0] = 60
    Image.fromarray(image).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide, pytest.raises(SlideError, match="fluorescence"):
        TissueMap(slide)
