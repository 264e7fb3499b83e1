import json
import os
from uuid import UUID

import numpy as np
import pytest

from models.annotations import Detections, Polygons
from models.errors import SlideError, WorkspaceError, WrongUseError
from models.geometry.rings import ring_area
from storage.geojson import drawable, found_features, geojson_name, new_file, write_features

SQUARE = np.array([[0.0, 0], [8, 0], [8, 8], [0, 8]])


def found():
    boxes = np.array([[0.0, 0, 8, 8], [20, 0, 28, 8]])
    rings = [SQUARE, SQUARE + np.array([20, 0])]
    return Detections(boxes, np.array([0.25, 0.75]), Polygons.of_rings(rings))


def test_found_cells_are_detections_with_their_score(tmp_path):
    path = tmp_path / "a.geojson"
    assert write_features(path, found_features(found(), "a.svs", "c1")) == 2
    first, second = json.loads(path.read_text())["features"]
    assert first["properties"]["objectType"] == "detection"
    assert first["properties"]["measurements"] == {"score": 0.25}
    assert first["properties"]["metadata"] == {"checkpoint": "c1"}
    ring = first["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    assert np.array(ring[:-1]).tolist() == SQUARE.tolist()
    assert second["geometry"]["coordinates"][0][0] == [20, 0]


def test_ids_follow_from_checkpoint_slide_and_place():
    def ids(slide, checkpoint):
        return [one["id"] for one in found_features(found(), slide, checkpoint)]

    assert ids("a.svs", "c1") == ids("a.svs", "c1")
    everything = ids("a.svs", "c1") + ids("b.svs", "c1") + ids("a.svs", "c2")
    assert len(set(everything)) == 6
    assert all(UUID(one).version == 5 for one in everything)


def test_a_slide_without_cells_is_an_empty_collection(tmp_path):
    path = tmp_path / "a.geojson"
    assert write_features(path, iter(())) == 0
    assert json.loads(path.read_text()) == {"type": "FeatureCollection", "features": []}


def test_an_error_while_cells_are_found_leaves_no_file(tmp_path):
    def features():
        yield from found_features(found(), "a.svs", "c1")
        raise SlideError("a.svs: level 0 is damaged")

    with pytest.raises(SlideError):
        write_features(tmp_path / "a.geojson", features())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match=r"file/out: cannot be written.*--output"):
        new_file(tmp_path / "file" / "out", "a.geojson")
    with pytest.raises(WorkspaceError, match=r"gone/a\.geojson: cannot be written"):
        write_features(tmp_path / "gone" / "a.geojson", iter(()))


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "a.geojson").write_text("mine")
    with pytest.raises(WrongUseError, match=r"a\.geojson is already there"):
        new_file(tmp_path, "a.geojson")
    assert (tmp_path / "a.geojson").read_text() == "mine"


def test_a_name_of_any_slide_stays_in_the_folder(tmp_path):
    for slide in ("a/b.svs", "../a.svs", "ä b.svs", "a\\b.svs"):
        assert os.sep not in geojson_name(slide)
        assert new_file(tmp_path, geojson_name(slide)).parent == tmp_path
    assert geojson_name("slide 1.svs") == "slide 1.svs.geojson"


def test_an_outline_that_will_not_do_becomes_the_ellipse_of_the_box():
    box = np.array([0.0, 0, 10, 6])
    bow = np.array([[0.0, 0], [10, 6], [10, 0], [0, 6]])
    ellipse = drawable(np.zeros((0, 2)), box, of_pixels=True)
    assert ring_area(ellipse) == pytest.approx(np.pi * 5 * 3, rel=0.02)
    assert drawable(bow, box, of_pixels=False).tolist() == ellipse.tolist()
    assert drawable(SQUARE, box, of_pixels=False).tolist() == SQUARE.tolist()
