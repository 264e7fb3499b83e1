import gzip
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.annotations import Role
from models.errors import InputError, WrongUseError
from models.geometry.tiles import Window
from storage.datasets.drawn_regions import RegionNames, Statement
from storage.datasets.drawn_slide import OUTSIDE, Wanted
from storage.datasets.protocol import KnownWindow, RefusedItem, RefusedRecord, SourceItem
from storage.datasets.qupath import QuPathReader
from storage.datasets.synthetic.slides import MPP, write_svs

PINK = (220, 150, 190)


def rectangle(object_id, class_name, x0, y0, x1, y1, **properties):
    ring = [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]
    told = {"objectType": "annotation", "classification": {"name": class_name}, **properties}
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "id": object_id, "geometry": geometry, "properties": told}


def region(class_name="annotated", corners=(0, 0, 200, 200), object_id="r"):
    return rectangle(object_id, class_name, *corners)


def cell(object_id="a", x0=20, y0=30, class_name="SRC"):
    return rectangle(object_id, class_name, x0, y0, x0 + 12, y0 + 14)


@pytest.fixture
def folder(tmp_path):
    """Return a function that writes an image with its annotations."""

    def put(name="a", *objects, end=".geojson", size=(400, 300)):
        Image.new("RGB", size, PINK).save(tmp_path / f"{name}.png")
        raw = json.dumps({"type": "FeatureCollection", "features": objects}).encode()
        packed = gzip.compress(raw) if end.endswith(".gz") else raw
        (tmp_path / f"{name}{end}").write_bytes(packed)
        return tmp_path

    return put


def read(folder, **wanted) -> list[Any]:
    return list(QuPathReader(folder, Wanted(**wanted)).items())


def test_a_slide_comes_with_its_regions_and_cells(folder):
    path = folder("a", region(), region("negative", (200, 0, 400, 300), "n"), cell())
    (one,) = read(path)
    assert isinstance(one, SourceItem)
    assert (one.name, one.path, one.width, one.height) == ("a", path / "a.png", 400, 300)
    assert one.windows == (
        KnownWindow(Window(0, 0, 200, 200), Role.POSITIVE),
        KnownWindow(Window(200, 0, 400, 300), Role.NEGATIVE),
    )
    assert one.rest is Role.UNLABELLED
    assert one.annotations.ids.tolist() == ["a"]
    assert one.annotations.boxes.tolist() == [[20, 30, 32, 44]]
    assert one.annotations.polygons[0].tolist() == [[20, 30], [32, 30], [32, 44], [20, 44]]
    assert (one.truth, one.truth_windows) == (None, (Window(200, 0, 400, 300),))
    assert dict(one.attributes) == {"slide": "a"}


def test_a_completely_annotated_region_brings_its_truth(folder):
    (one,) = read(folder("a", region("completely annotated"), region(object_id="s",
                         corners=(200, 0, 400, 200)), cell(), cell("b", 250, 50)))  # fmt: skip
    assert one.truth.ids.tolist() == ["a"]
    assert one.annotations.ids.tolist() == ["a", "b"]
    assert one.truth_windows == (Window(0, 0, 200, 200),)


def test_compressed_annotations_are_read(folder):
    (one,) = read(folder("a", region(), cell(), end=".png.geojson.gz"))
    assert one.annotations.ids.tolist() == ["a"]


def test_a_damaged_file_refuses_its_slide_and_no_other(folder):
    folder("a", region(), cell())
    path = folder("b", region(), cell("b"))
    (path / "a.geojson").write_text('{"type": "FeatureCollection", "features": [')
    reader = QuPathReader(path)
    refused, one = list[Any](reader.items())
    assert reader.total == 2
    assert refused.name == "a.png"
    assert refused.reason.startswith("a.geojson: not JSON")
    assert one.name == "b"


def test_a_damaged_image_is_refused_by_name(folder):
    path = folder("a", region(), cell())
    (path / "a.png").write_bytes(b"no image")
    (refused,) = read(path)
    assert isinstance(refused, RefusedItem)
    assert refused.name == "a.png"
    assert str(path) not in refused.reason


def test_records_and_what_was_noticed_are_told_with_the_slide(folder):
    crossed = cell("bow")
    crossed["geometry"]["coordinates"] = [[[20, 30], [32, 44], [32, 30], [20, 44], [20, 30]]]
    off = cell("off", 700, 700)
    record, one = read(folder("a", region(), crossed, cell("out", 300, 250), off))
    assert isinstance(record, RefusedRecord)
    assert record.name == "a.geojson: off"
    assert "reaches out of the slide of 400 x 300 px" in record.reason
    assert one.noticed == {
        OUTSIDE: 1, "outlines that cross or touch themselves, only their boxes used": 1,
    }  # fmt: skip


def test_a_slide_without_regions_is_refused_unless_its_role_is_given(folder):
    path = folder("a", cell())
    (refused,) = read(path)
    assert "no region is drawn" in refused.reason
    (one,) = read(path, role=Role.POSITIVE, complete=True)
    assert one.windows == (KnownWindow(Window(0, 0, 400, 300), Role.POSITIVE),)
    assert one.truth.ids.tolist() == ["a"]


def test_slides_without_marks_take_the_role_for_all_their_tissue(folder):
    path = folder("a")
    (free,) = read(path, role=Role.NEGATIVE)
    assert (free.windows, free.rest, len(free.truth), free.truth_windows) == (
        (), Role.NEGATIVE, 0, None,
    )  # fmt: skip
    (unseen,) = read(path, role=Role.UNLABELLED)
    assert (unseen.windows, unseen.rest, unseen.truth) == ((), Role.UNLABELLED, None)


@pytest.mark.parametrize("rest", [None, Role.NEGATIVE, Role.UNLABELLED])
def test_the_rest_of_a_slide_is_what_one_says(folder, rest):
    (one,) = read(folder("a", region(), cell()), rest=rest)
    assert one.rest is rest


def test_region_classes_of_ones_own_are_known(folder):
    path = folder("a", region("Normal"), region("ROI", (200, 0, 400, 200), "s"), cell("a", 250))
    names = RegionNames({Statement.NEGATIVE: ["normal"], Statement.COMPLETE: ["roi"]})
    (one,) = read(path, regions=names)
    assert [known.role for known in one.windows] == [Role.NEGATIVE, Role.POSITIVE]
    assert one.truth.ids.tolist() == ["a"]


def test_a_class_that_no_object_has_is_wrong_use_and_the_classes_are_listed(folder):
    path = folder("a", region(), cell(), cell("b", 50, class_name="Lymphocyte"), cell("c", 90))
    with pytest.raises(WrongUseError, match=r"'src'; there are SRC \(2\), Lymphocyte \(1\)"):
        read(path, class_names=("src",))


def test_a_slide_of_negative_regions_needs_no_object_of_the_class(folder):
    path = folder("a", region("negative"), cell("b", 300, class_name="x"))
    (one,) = read(path, class_names=("SRC",))
    assert len(one.annotations) == 0


def test_no_annotations_at_all_are_refused(tmp_path):
    Image.new("RGB", (400, 300), PINK).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"no annotations there.*signetflow ingest slides"):
        read(tmp_path)


def test_a_pixel_size_of_no_microscope_is_wrong_use(folder):
    with pytest.raises(WrongUseError, match="--mpp 353"):
        QuPathReader(folder(), mpp=353)


def test_a_slide_says_its_pixel_size(tmp_path):
    write_svs(tmp_path / "a.svs", np.full((512, 512, 3), PINK, np.uint8))
    (tmp_path / "a.geojson").write_text(json.dumps([region(), cell()]))
    (one,) = read(tmp_path)
    assert (one.mpp, one.width) == (MPP, 512)
    (said,) = list[Any](QuPathReader(tmp_path, mpp=0.5).items())
    assert said.mpp == 0.5


def test_many_objects_are_read_in_their_order(folder):
    cells = [cell(f"c{n}", 2 + n % 18 * 10, 2 + n // 18 * 10) for n in range(300)]
    (one,) = read(folder("a", *cells, region()))
    assert one.annotations.ids.tolist() == [f"c{n}" for n in range(300)]
