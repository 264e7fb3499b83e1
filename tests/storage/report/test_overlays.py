import base64

import cv2
import numpy as np
import pytest

from models.annotations import Polygons
from storage.report.model import CropPanel, CropStory
from storage.report.overlays import counts, draw, panels_svg, png_uri

SQUARE = np.array([[4.0, 4], [16, 4], [16, 16], [4, 16]])
NONE = Polygons.none(0)


def panel(**kinds):
    known = {"annotated": NONE, "found": NONE, "added": NONE, "hidden": NONE}
    made = {name: Polygons.of_rings(rings) for name, rings in kinds.items()}
    return CropPanel("round 1", **(known | made))


def white():
    return np.full((24, 20, 3), 255, np.uint8)


def test_a_picture_survives_its_way_into_the_page():
    image = np.random.default_rng(0).integers(0, 255, (24, 20, 3), np.uint8)
    code = base64.b64decode(png_uri(image).removeprefix("data:image/png;base64,"))
    again = cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(np.asarray(again)[:, :, ::-1], image)


def test_the_tissue_is_embedded_once_for_all_rounds():
    story = CropStory("slide", white(), (panel(annotated=[SQUARE]),) * 3)
    svgs = panels_svg(story, "crop0")
    assert [svg.count("data:image") for svg in svgs] == [1, 0, 0]
    assert all('href="#crop0"' in svg for svg in svgs[1:])


def test_kinds_differ_in_line_as_well_as_in_colour():
    every = panel(annotated=[SQUARE], found=[SQUARE], added=[SQUARE], hidden=[SQUARE])
    svg = panels_svg(CropStory("s", white(), (every,)), "crop0")[0]
    lines = [part.split("/>")[0] for part in svg.split("<path ")[1:] if "halo" not in part]
    assert len(lines) == 4
    styles = {line.split('stroke="')[1].split('"', 1)[1] for line in lines}
    assert len(styles) == 4


def test_the_text_alternative_counts_the_cells():
    one = panel(annotated=[SQUARE, SQUARE], added=[SQUARE])
    assert counts(one) == "2 annotated, 1 added in this round"
    assert counts(panel()) == "nothing"


def test_an_outline_without_points_draws_nothing():
    empty = panel(found=[np.zeros((0, 2))], hidden=[np.zeros((0, 2))])
    assert "<path" not in panels_svg(CropStory("s", white(), (empty,)), "a")[0]
    assert (draw(white(), empty) == 255).all()


@pytest.mark.parametrize("kind", ["annotated", "found", "added", "hidden"])
def test_a_drawn_picture_changes_along_the_outline_only(kind):
    drawn = draw(white(), panel(**{kind: [SQUARE]}), scale=3)
    assert drawn.shape == (72, 60, 3)
    changed = drawn.min(axis=2) < 200
    assert changed[9:16].any()
    assert not changed[22:38, 22:38].any()
    assert not changed[60:].any()
