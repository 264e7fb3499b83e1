import gzip
import json
import os
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.annotations import Detections, Polygons
from models.errors import SlideError, WorkspaceError, WrongUseError
from models.geometry.rings import ring_area
from storage.geojson import (
    Outline,
    drawable,
    feature,
    found_features,
    geojson_name,
    new_file,
    write_features,
)

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
    assert geojson_name("slide 1.svs", compressed=True) == "slide 1.svs.geojson.gz"


def test_an_outline_that_will_not_do_becomes_the_ellipse_of_the_box():
    box = np.array([0.1, 0.2, 10.7, 6.3])
    bow = np.array([[0.0, 0], [10, 6], [10, 0], [0, 6]])
    touching = np.array([[0.0, 0], [8, 0], [8, 8], [4, 0], [0, 8]])
    ellipse = drawable(np.zeros((0, 2)), box, of_pixels=True)
    assert ellipse.is_ellipse
    assert ring_area(ellipse.ring) == pytest.approx(np.pi * 5.3 * 3.05, rel=0.02)
    assert [*ellipse.ring.min(axis=0), *ellipse.ring.max(axis=0)] == box.tolist()
    for wrong in (bow, touching):
        assert drawable(wrong, box, of_pixels=False).ring.tolist() == ellipse.ring.tolist()
    good = drawable(SQUARE, box, of_pixels=False)
    assert (good.ring.tolist(), good.is_ellipse) == (SQUARE.tolist(), False)


def test_qupath_is_told_which_polygons_are_ellipses():
    box = np.array([0.0, 0, 10, 6])
    ellipse = drawable(np.zeros((0, 2)), box, of_pixels=False)
    assert feature("a", ellipse, {})["geometry"]["isEllipse"] is True
    assert "isEllipse" not in feature("a", Outline(SQUARE), {})["geometry"]


@given(st.lists(st.tuples(*[st.floats(-1e7, 1e7)] * 2), min_size=3, max_size=9))
def test_every_digit_of_an_outline_is_written(points):
    ring = np.array(points, float)
    written = json.loads(json.dumps(feature("a", Outline(ring), {})))["geometry"]["coordinates"]
    assert written[0][:-1] == ring.tolist()
    assert written[0][-1] == written[0][0]


def test_the_same_cells_compress_to_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_features(tmp_path / f"{name}.geojson.gz", found_features(found(), "a.svs", "c1"))
    write_features(tmp_path / "a.geojson", found_features(found(), "a.svs", "c1"))
    packed = (tmp_path / "a.geojson.gz").read_bytes()
    assert packed == (tmp_path / "b.geojson.gz").read_bytes()
    assert gzip.decompress(packed) == (tmp_path / "a.geojson").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.geojson", "a.geojson.gz", "b.geojson.gz",
    ]  # fmt: skip


def test_two_cells_in_one_box_have_different_ids():
    boxes = np.array([[0.0, 0, 8, 8]] * 2)
    twice = Detections(boxes, np.array([0.5, 0.5]), Polygons.of_rings([SQUARE, SQUARE[:3]]))
    assert len({one["id"] for one in found_features(twice, "a.svs", "c1")}) == 2
