import base64
import re

import cv2
import numpy as np
import pytest

from models.annotations import Polygons
from storage.report.model import CropPanel, CropStory, Example, FoundPanel
from storage.report.overlays import (
    MOST_OUTLINES,
    MOST_POINTS,
    counts,
    draw,
    jpeg_uri,
    panels_svg,
    png_bytes,
)

SQUARE = np.array([[4.0, 4], [16, 4], [16, 16], [4, 16]])
NONE = Polygons.none(0)


def panel(**kinds):
    known = {"annotated": NONE, "found": NONE, "added": NONE, "hidden": NONE}
    made = {name: Polygons.of_rings(rings) for name, rings in kinds.items()}
    return CropPanel("round 1", **(known | made))


def white():
    return np.full((24, 20, 3), 255, np.uint8)


def decoded(code):
    return np.asarray(cv2.imdecode(np.frombuffer(code, np.uint8), cv2.IMREAD_COLOR))[:, :, ::-1]


def svg_of(one):
    kind = CropStory if isinstance(one, CropPanel) else Example
    (svg,) = panels_svg(kind("s", white(), (one,)), (one,), "piece")
    return svg


def test_a_picture_survives_its_way_into_a_file():
    image = np.random.default_rng(0).integers(0, 255, (24, 20, 3), np.uint8)
    assert np.array_equal(decoded(png_bytes(image)), image)


def test_tissue_in_the_page_looks_as_it_did():
    image = np.full((24, 20, 3), (220, 150, 200), np.uint8)
    image[8:16, 5:12] = (90, 60, 140)
    code = base64.b64decode(jpeg_uri(image).removeprefix("data:image/jpeg;base64,"))
    assert np.abs(decoded(code).astype(int) - image).mean() < 6


def test_the_tissue_is_embedded_once_for_all_rounds():
    story = CropStory("slide", white(), (panel(annotated=[SQUARE]),) * 3)
    svgs = panels_svg(story, story.panels, "crop0")
    assert [svg.count("data:image") for svg in svgs] == [1, 0, 0]
    assert all('href="#crop0"' in svg for svg in svgs[1:])


def test_kinds_differ_in_line_as_well_as_in_colour():
    every = panel(annotated=[SQUARE], found=[SQUARE], added=[SQUARE], hidden=[SQUARE])
    svg = svg_of(every)
    lines = [part.split("/>")[0] for part in svg.split("<use ")[1:] if "halo" not in part]
    assert len(lines) == 4
    styles = {line.split('stroke="')[1].split('"', 1)[1] for line in lines}
    assert len(styles) == 4


def test_the_text_alternative_counts_the_cells():
    one = panel(annotated=[SQUARE, SQUARE], added=[SQUARE])
    assert counts(one) == "2 annotated, 1 added in this round"
    assert counts(panel()) == "nothing"


def test_an_outline_without_points_draws_nothing():
    empty = panel(found=[np.zeros((0, 2))], hidden=[np.zeros((0, 2))])
    assert "<path" not in svg_of(empty)
    assert (draw(white(), empty) == 255).all()


@pytest.mark.parametrize("kind", ["annotated", "found", "added", "hidden"])
def test_a_drawn_picture_changes_along_the_outline_only(kind):
    drawn = draw(white(), panel(**{kind: [SQUARE]}), scale=3)
    assert drawn.shape == (72, 60, 3)
    changed = drawn.min(axis=2) < 200
    assert changed[9:16].any()
    assert not changed[22:38, 22:38].any()
    assert not changed[60:].any()


def found(**kinds):
    known = {"hit": NONE, "missed": NONE, "false": NONE, "unmarked": NONE}
    made = {name: Polygons.of_rings(rings) for name, rings in kinds.items()}
    return FoundPanel("cooperative, net", **(known | made))


def test_hits_misses_and_false_cells_differ_without_colour():
    looks = set()
    for kind in ("hit", "missed", "false", "unmarked"):
        svg = svg_of(found(**{kind: [SQUARE]}))
        look = re.sub(r"#[0-9a-f]{6}", "", svg.split("/>", 1)[1])
        looks.add(look.replace(f"piece-0-{kind}", ""))
    assert len(looks) == 4


def test_a_cross_lies_in_the_middle_of_a_false_cell():
    svg = svg_of(found(false=[SQUARE]))
    assert "M7.0 7.0L13.0 13.0M13.0 7.0L7.0 13.0" in svg


def test_what_was_found_and_missed_is_said_in_words():
    assert counts(found(hit=[SQUARE, SQUARE], missed=[SQUARE])) == "2 found, 1 missed"
    assert counts(found(unmarked=[SQUARE])) == "1 found, not annotated"


def test_a_crowd_of_outlines_is_drawn_in_part_and_counted_in_full():
    circle = np.stack([np.cos(np.arange(500.0)), np.sin(np.arange(500.0))], axis=1) * 5 + 10
    crowd = found(false=[circle] * 3000)
    svg = svg_of(crowd)
    drawn = svg.split("<path ")[1].split("/>")[0]
    assert drawn.count("Z") == MOST_OUTLINES
    assert drawn.split("Z")[0].count(",") <= MOST_POINTS
    assert "3000 false" in svg
