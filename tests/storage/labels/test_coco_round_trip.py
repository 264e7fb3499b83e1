import json

import numpy as np
import pytest
from PIL import Image

from storage.datasets.coco import CocoReader
from storage.datasets.coco_records import SCORED
from storage.datasets.protocol import SourceItem
from storage.labels.export import COCO_FILE, export_coco
from storage.labels.store import open_version


@pytest.fixture
def version(workspace, versions):
    return open_version(workspace, versions.round(versions.ingest()))


@pytest.fixture
def images(tmp_path):
    """Return a folder with the images of the version, larger than their regions."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("slide.a", "empty"):
        Image.new("RGB", (400, 410)).save(folder / f"{name}.png")
    return folder


def read_back(folder, images):
    found = list(CocoReader(folder, images=images).items())
    assert all(isinstance(one, SourceItem) for one in found)
    return {one.name: one for one in found}


def test_exported_labels_read_back_with_all_geometry_and_ids(tmp_path, version, images):
    export_coco(version, tmp_path / "out")
    items = read_back(tmp_path / "out", images)
    assert sorted(items) == ["empty", "slide.a"]
    regions = [one for one in version.region_ids if one.startswith("slide.a")]
    boxes = np.concatenate([version.records(one).boxes for one in regions])
    cells = items["slide.a"].annotations
    assert len(cells) == len(boxes) > 3
    np.testing.assert_allclose(cells.boxes, boxes, atol=1e-6, rtol=0)
    written = json.loads((tmp_path / "out" / COCO_FILE).read_text())["annotations"]
    assert cells.ids.tolist() == [one["annotation_id"] or str(one["id"]) for one in written]
    human = [version.records(one).annotation_ids for one in regions]
    assert set(np.concatenate(human).tolist()) - {""} <= set(cells.ids.tolist())
    for ring, one in zip(cells.polygons, written, strict=True):
        expected = np.reshape(one["segmentation"][0], (-1, 2))
        np.testing.assert_allclose(ring, expected, atol=1e-6, rtol=0)
    assert len(items["empty"].annotations) == 0


def test_cells_that_a_network_found_are_noticed_when_they_come_back(tmp_path, version, images):
    export_coco(version, tmp_path / "out")
    found = sum(int((~version.records(one).is_human).sum()) for one in version.region_ids)
    assert found
    assert read_back(tmp_path / "out", images)["slide.a"].noticed == {SCORED: found}
