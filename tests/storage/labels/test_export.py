import gzip
import json
from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from models.annotations import Polygons
from models.errors import WorkspaceError, WrongUseError
from models.geometry.rings import is_simple, ring_area
from storage.labels.export import export_coco, export_geojson
from storage.labels.store import open_version


@pytest.fixture
def version(workspace, versions):
    return open_version(workspace, versions.round(versions.ingest()))


def features_of(folder):
    """Return the cells in each file of a folder; the regions are left out."""
    paths = folder.glob("*.geojson*")
    return {path.name: [one for one in read(path) if not is_region(one)] for path in paths}


def read(path):
    raw = path.read_bytes()
    return json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)["features"]


def is_region(one):
    return "cell_id" not in one["properties"]["metadata"]


def test_each_slide_becomes_one_geojson_file(tmp_path, version):
    exported = export_geojson(version, tmp_path)

    assert sorted(path.name for path in exported.files) == ["empty.geojson", "slide.a.geojson"]
    features = features_of(tmp_path)
    assert exported.n_cells == 5
    assert (len(features["slide.a.geojson"]), len(features["empty.geojson"])) == (5, 0)


def test_features_are_what_qupath_reads(tmp_path, version):
    export_geojson(version, tmp_path)
    features = features_of(tmp_path)["slide.a.geojson"]

    for feature in features:
        assert feature["type"] == "Feature"
        assert UUID(feature["id"]).version == 5
        assert feature["properties"]["objectType"] == "annotation"
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1]
        open_ring = np.array(ring[:-1])
        assert len(np.unique(open_ring, axis=0)) == len(open_ring)
        assert ring_area(open_ring) > 0
        assert is_simple(open_ring)
    assert len({feature["id"] for feature in features}) == len(features)


def test_a_persons_cell_is_its_ellipse_on_the_slide_and_has_no_score(tmp_path, version):
    export_geojson(version, tmp_path)
    features = features_of(tmp_path)["slide.a.geojson"]
    human = [f for f in features if f["properties"]["classification"]["name"] == "human"]
    found = [f for f in features if f["properties"]["classification"]["name"] == "pseudo"]

    assert (len(human), len(found)) == (3, 2)
    ring = np.array(human[0]["geometry"]["coordinates"][0])
    # Box 10, 10, 30, 34 at 2 level-0 pixels per pixel from (100, 200).
    assert ring.min(axis=0) == pytest.approx([120, 220])
    assert ring.max(axis=0) == pytest.approx([160, 268])
    assert len(ring) == 33
    assert "score" not in human[0]["properties"]["measurements"]
    assert human[0]["properties"]["metadata"]["annotation_id"] == "slide.a@0,0#0"
    assert 0 < found[0]["properties"]["measurements"]["score"] < 0.75
    assert found[0]["properties"]["metadata"]["checkpoint"] == "checkpoint-1"


def test_ids_stay_the_same_from_version_to_version(tmp_path, workspace, versions, version):
    later = open_version(workspace, versions.round(version.info.ref, 2))
    export_geojson(version, tmp_path / "1")
    export_geojson(later, tmp_path / "2")

    first, second = (features_of(tmp_path / name)["slide.a.geojson"] for name in "12")
    assert [f["id"] for f in first] == [f["id"] for f in second]


def test_found_cells_of_two_chains_have_different_ids(tmp_path, workspace, versions, version):
    other = open_version(workspace, versions.round(versions.ingest(), chain="run-1"))
    export_geojson(version, tmp_path / "1")
    export_geojson(other, tmp_path / "2")

    first, second = (features_of(tmp_path / name)["slide.a.geojson"] for name in "12")
    shared = {f["id"] for f in first} & {f["id"] for f in second}
    assert len(shared) == 3


def test_an_outline_that_crosses_itself_is_replaced_by_the_ellipse(tmp_path, workspace, versions):
    placement, classes, cells, records, next_cell_id = versions.drawn_labels("slide.a@0,512")
    bow_tie = np.array([[110.0, 210], [150, 250], [150, 210], [110, 250]])
    records = replace(records, polygons=Polygons.of_rings([bow_tie]))
    with versions.draft(None, stage="ingest") as draft:
        draft.put("slide.a@0,512", placement, classes, cells, records, next_cell_id)
        ref = draft.commit()
    export_geojson(open_version(workspace, ref), tmp_path)

    (feature,) = features_of(tmp_path)["slide.a.geojson"]
    assert len(feature["geometry"]["coordinates"][0]) == 33


def test_the_regions_are_locked_rectangles_under_the_cells(tmp_path, version):
    export_geojson(version, tmp_path)
    features = read(tmp_path / "slide.a.geojson")
    regions = [one for one in features if is_region(one)]

    assert features[: len(regions)] == regions
    assert [one["properties"]["name"] for one in regions] == ["slide.a@0,0", "slide.a@0,512"]
    for one in regions:
        assert one["properties"]["isLocked"] is True
        assert one["properties"]["classification"]["name"] == "Region*"
        # 90 x 60 working pixels of 2 level-0 pixels, from (100, 200).
        corners = [[100, 200], [280, 200], [280, 320], [100, 320], [100, 200]]
        assert one["geometry"]["coordinates"] == [corners]
    assert len({one["id"] for one in features}) == len(features)


def drawn_with_ids(versions, *ids):
    placement, classes, cells, records, next_cell_id = versions.drawn_labels("slide.a@0,0")
    records = replace(records, annotation_ids=np.array(ids))
    with versions.draft(None, stage="ingest") as draft:
        draft.put("slide.a@0,0", placement, classes, cells, records, next_cell_id)
        return draft.commit()


def test_a_persons_cell_keeps_the_id_that_qupath_gave_it(tmp_path, workspace, versions):
    mine = "5B1E38A4-6c0c-4d3b-9a52-0a4c0a5d4f11"
    ref = drawn_with_ids(versions, mine, "nucleus 17")
    export_geojson(open_version(workspace, ref), tmp_path)

    first, second = features_of(tmp_path)["slide.a.geojson"]
    assert first["id"] == mine
    assert UUID(second["id"]).version == 5  # QuPath takes no other ids
    assert second["properties"]["metadata"]["annotation_id"] == "nucleus 17"


def test_an_id_that_came_before_is_not_written_twice(tmp_path, workspace, versions):
    mine = "5b1e38a4-6c0c-4d3b-9a52-0a4c0a5d4f11"
    export_geojson(open_version(workspace, drawn_with_ids(versions, mine, mine)), tmp_path)

    first, second = features_of(tmp_path)["slide.a.geojson"]
    assert first["id"] == mine
    assert second["id"] != mine


def test_compressed_files_hold_the_same(tmp_path, version):
    export_geojson(version, tmp_path / "plain")
    exported = export_geojson(version, tmp_path / "packed", compressed=True)

    assert sorted(path.name for path in exported.files) == [
        "empty.geojson.gz", "slide.a.geojson.gz",
    ]  # fmt: skip
    plain, packed = (features_of(tmp_path / name) for name in ("plain", "packed"))
    assert {f"{name}.gz": cells for name, cells in plain.items()} == packed


def test_coco_holds_every_cell_with_its_origin(tmp_path, version):
    exported = export_coco(version, tmp_path)
    (path,) = exported.files
    document = json.loads(path.read_text())

    assert path.name == "annotations_coco.json"
    assert [image["file_name"] for image in document["images"]] == ["empty", "slide.a"]
    assert (document["images"][1]["width"], document["images"][1]["height"]) == (280, 320)
    assert document["images"][1]["regions"]["slide.a@0,0"] == [100, 200, 280, 320]
    cells = document["annotations"]
    assert [cell["id"] for cell in cells] == list(range(1, exported.n_cells + 1))
    assert {cell["image_id"] for cell in cells} == {2}
    human = [cell for cell in cells if cell["origin"] == "human"]
    assert [cell["score"] for cell in human] == [None] * 3
    assert human[0]["bbox"] == [120, 220, 40, 48]
    assert human[0]["area"] == pytest.approx(np.pi * 20 * 24, rel=0.01)
    found = [cell for cell in cells if cell["origin"] == "pseudo"]
    assert all(0 < cell["score"] < 1 for cell in found)
    assert document["info"]["version"] == version.info.digest


def coco_ids(path):
    return [
        (one["id"], one["annotation_id"]) for one in json.loads(path.read_text())["annotations"]
    ]


def test_coco_keeps_ids_that_are_numbers_and_gives_others_what_is_free(
    tmp_path, workspace, versions
):
    for number, (ids, expected) in enumerate(
        [
            (("1", "nucleus 17"), [(1, "1"), (2, "nucleus 17")]),
            (("nucleus 17", "1"), [(2, "nucleus 17"), (1, "1")]),
            (("7", "7"), [(7, "7"), (1, "7")]),
            (("01", "2"), [(1, "01"), (2, "2")]),
        ]
    ):
        version = open_version(workspace, drawn_with_ids(versions, *ids))
        (path,) = export_coco(version, tmp_path / str(number)).files
        assert coco_ids(path) == expected


def test_a_version_without_cells_exports_empty_lists(tmp_path, workspace, versions):
    with versions.draft(None, stage="ingest") as draft:
        draft.put("empty", *versions.drawn_labels("empty"))
        ref = draft.commit()
    exported = export_coco(open_version(workspace, ref), tmp_path)

    assert exported.n_cells == 0
    assert json.loads(exported.files[0].read_text())["annotations"] == []


def test_progress_counts_regions(tmp_path, version):
    seen = []
    export_coco(version, tmp_path / "coco", lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    seen.clear()
    export_geojson(version, tmp_path / "geojson", lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (3, 3)]


def test_a_file_that_is_there_is_not_overwritten(tmp_path, version):
    export_coco(version, tmp_path)

    with pytest.raises(WrongUseError, match=r"annotations_coco\.json is already there"):
        export_coco(version, tmp_path)


def test_an_output_that_cannot_be_made_is_named(tmp_path, version):
    (tmp_path / "file").write_text("")

    with pytest.raises(WorkspaceError, match="Give another --output"):
        export_geojson(version, tmp_path / "file" / "folder")


def test_a_file_that_cannot_be_written_is_named(tmp_path, version):
    (tmp_path / ".annotations_coco.json.part").mkdir()

    with pytest.raises(WorkspaceError, match="cannot be written"):
        export_coco(version, tmp_path)
