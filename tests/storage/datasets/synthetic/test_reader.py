"""A made-up dataset is read like any other, and nothing is dropped in silence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pytest

from models.annotations import Role
from models.errors import AnnotationError, InputError
from models.geometry.tiles import Window
from storage.datasets.protocol import RefusedItem, SourceItem
from storage.datasets.synthetic.qupath import CELL, outline_of, read_geojson, write_geojson
from storage.datasets.synthetic.reader import SyntheticReader
from storage.datasets.synthetic.sections import draw_slide, plan
from storage.datasets.synthetic.settings import MADE_UP, SyntheticSettings
from storage.datasets.synthetic.slides import INDEX, make_dataset

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = SyntheticSettings(organs=1, positive_slides=1, negative_windows=1, window_px=256)


@pytest.fixture
def folder(tmp_path):
    make_dataset(tmp_path, SETTINGS, processes=1)
    return tmp_path


def items(folder: Path) -> list[Any]:
    return list(SyntheticReader(folder).items())


def change(folder, **values):
    path = folder / INDEX
    index = json.loads(path.read_text())
    index["slides"][0].update(values)
    path.write_text(json.dumps(index))


def test_a_positive_slide_has_an_annotated_window_and_unlabelled_tissue(folder):
    item, _ = items(folder)
    assert isinstance(item, SourceItem)
    (known,) = item.windows
    assert (known.window, known.role) == (Window(256, 256, 512, 512), Role.POSITIVE)
    assert (item.rest, item.mpp) == (Role.UNLABELLED, 0.25)
    assert item.attributes == MADE_UP | {"slide": "organ00-slide00-positive", "organ": "organ00"}
    assert item.path.is_file()


def test_a_negative_slide_is_known_to_be_free_of_the_target(folder):
    _, item = items(folder)
    assert (item.rest, item.windows) == (Role.NEGATIVE, ())
    assert len(item.annotations) == 0
    assert len(item.truth) == 0


def test_truth_has_all_cells_and_annotations_some_of_the_annotated_window(folder):
    item, _ = items(folder)
    drawn = draw_slide(next(plan(SETTINGS)), SETTINGS)
    assert item.truth.boxes == pytest.approx(drawn.boxes)
    assert tuple(item.truth.ids) == drawn.ids
    marked = np.isin(item.truth.ids, item.annotations.ids)
    assert 0 < marked.sum() < len(marked)
    assert item.annotations.boxes == pytest.approx(item.truth.boxes[marked])
    centres = (item.annotations.boxes[:, :2] + item.annotations.boxes[:, 2:]) / 2
    assert item.windows[0].window.contains(centres).all()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"slide": "gone.svs"}, "missing"),
        ({"slide": "../outside.svs"}, "lies outside the folder"),
        ({"rest": "maybe"}, "maybe"),
        ({"width": None}, "entry in dataset.json"),
    ],
)
def test_a_bad_entry_is_refused_with_its_reason_and_the_rest_is_read(folder, values, reason):
    (folder.parent / "outside.svs").write_text("")
    change(folder, **values)
    refused, good = items(folder)
    assert isinstance(refused, RefusedItem)
    assert refused.name == "organ00-slide00-positive"
    assert reason in refused.reason
    assert isinstance(good, SourceItem)


def test_an_entry_that_is_no_slide_is_refused_by_its_place(folder):
    path = folder / INDEX
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "slides": ["text", *index["slides"]]}))
    reader = SyntheticReader(folder)
    refused, *accepted = reader.items()
    assert (refused.name, len(accepted), reader.total) == ("slides[0]", 2, 3)
    path.write_text(json.dumps({**index, "slides": {}}))
    with pytest.raises(InputError, match="slides is no list"):
        items(folder)


def test_a_damaged_annotation_file_is_refused(folder):
    (folder / "organ00-slide00-positive.geojson").write_text('{"features": [{}]}')
    refused, _ = items(folder)
    assert "not as signetflow draws it" in refused.reason


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format_version": 99, "slides": []}'])
def test_a_folder_without_a_dataset_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / INDEX).write_text(content)
    with pytest.raises(InputError, match=r"dataset\.json"):
        items(tmp_path)


def test_cells_and_windows_survive_geojson(tmp_path):
    boxes = np.array([[10, 20, 33, 47], [100, 100, 121, 130]], float)
    windows = [Window(0, 0, 256, 256)]
    write_geojson(tmp_path / "a.geojson", ["one", "two"], boxes, windows)
    drawn = read_geojson(tmp_path / "a.geojson")
    assert drawn.cells.boxes.tolist() == boxes.tolist()
    assert drawn.cells.ids.tolist() == ["one", "two"]
    assert drawn.windows == tuple(windows)
    assert drawn.cells.polygons[0] == pytest.approx(outline_of(boxes[0]), abs=0.01)


def test_geojson_is_what_qupath_expects(tmp_path):
    write_geojson(tmp_path / "a.geojson", ["one"], np.array([[0, 0, 10, 10.0]]), [])
    collection = json.loads((tmp_path / "a.geojson").read_text())
    (feature,) = collection["features"]
    assert collection["type"] == "FeatureCollection"
    assert feature["id"] == "one"
    assert feature["properties"]["objectType"] == "annotation"
    assert feature["properties"]["classification"]["name"] == CELL == "Signet ring cell"
    ring = feature["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]


def test_all_ids_of_a_made_slide_are_different_uuids(folder):
    collection = json.loads((folder / "organ00-slide00-positive.geojson").read_text())
    ids = [one["id"] for one in collection["features"]]
    assert len({UUID(one) for one in ids}) == len(ids) > 1


def feature(ring):
    kind = {"classification": {"name": CELL}}
    return {"id": "a", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": kind}


@pytest.mark.parametrize(
    "ring", [[[0, 0], [1, 1]], [[0, 0, 0, 0]] * 5, [[0, 0], [1, float("nan")], [2, 2], [0, 0]]]
)
def test_an_outline_that_is_none_is_refused(tmp_path, ring):
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"features": [feature(ring)]}))
    with pytest.raises(AnnotationError, match=r"its outline h.*Make the dataset again"):
        read_geojson(path)


def test_a_class_that_is_not_ours_is_refused(tmp_path):
    path = tmp_path / "a.geojson"
    write_geojson(path, ["one"], np.array([[0, 0, 10, 10.0]]), [])
    path.write_text(path.read_text().replace(CELL, "Tumor"))
    with pytest.raises(AnnotationError, match=r"one is not as signetflow draws it .class 'Tumor'"):
        read_geojson(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_geojson(tmp_path / "gone.geojson")
