import cv2
import numpy as np
import pytest

from models.annotations import Polygons
from storage.report.model import CropPanel, CropStory
from storage.report.overlays import draw
from storage.report.sheet import GAP_PX, contact_sheet

SQUARE = Polygons.of_rings([np.array([[4.0, 4.0], [12.0, 4.0], [12.0, 12.0], [4.0, 12.0]])])
NOTHING = Polygons.none(0)


def story(n_panels):
    panel = CropPanel("a round", SQUARE, NOTHING, NOTHING, NOTHING)
    return CropStory("a piece of tissue", np.full((20, 30, 3), 200, np.uint8), (panel,) * n_panels)


def test_each_piece_of_tissue_is_a_row_and_each_round_a_column():
    stories = [story(2), story(3)]
    sheet = cv2.imdecode(np.frombuffer(contact_sheet(stories), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert sheet is not None
    panel = draw(stories[0].image, stories[0].panels[0])
    height, width = panel.shape[:2]
    assert sheet.shape == (2 * (height + GAP_PX), 3 * (width + GAP_PX), 3)
    np.testing.assert_array_equal(sheet[:height, :width], panel)
    assert (sheet[:height, 2 * (width + GAP_PX) :] == 255).all()


def test_a_sheet_without_a_story_is_refused():
    with pytest.raises(ValueError, match="at least one story"):
        contact_sheet([])
