"""Corrections that come back from QuPath: exactly what was changed, once, and by whom."""

import json

import numpy as np
import pytest

from models.errors import AnnotationError
from storage.labels.export import export_geojson
from storage.labels.review import Request, import_review
from storage.labels.store import open_version

BY = Request("Dr. Ito")


@pytest.fixture
def reviewed(workspace, versions, tmp_path):
    """Return a version with found cells, its exported file and what that holds."""
    ref = versions.round(versions.ingest(), 1)
    files = export_geojson(open_version(workspace, ref), tmp_path / "out").files
    path = next(one for one in files if one.name.startswith("slide.a"))
    return ref, path, json.loads(path.read_text())


def cells_of(content, region, origin):
    return [
        one for one in content["features"]
        if one["properties"].get("metadata", {}).get("region") == region
        and one["properties"]["metadata"].get("origin") == origin
    ]  # fmt: skip


def saved(path, content):
    path.write_text(json.dumps(content))
    return path


def box_of(x, y, side=20):
    ring = [[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


def drawn(x, y, name="11111111-1111-4111-8111-111111111111", side=20):
    properties = {"objectType": "annotation", "classification": {"name": "cell"}}
    return {"type": "Feature", "id": name, "geometry": box_of(x, y, side), "properties": properties}


def test_a_file_that_nobody_changed_is_nothing_new(workspace, reviewed):
    ref, path, _ = reviewed
    done = import_review(workspace, [path], BY)
    assert (done.ref, done.added, done.moved, done.removed) == (ref, 0, 0, 0)
    assert done.unchanged > 0


def test_what_qupath_does_to_every_outline_it_saves_is_no_correction(workspace, reviewed):
    """It rounds to 0.01 px, may begin elsewhere and turn round, and gives ellipses its points."""
    ref, path, content = reviewed
    for number, one in enumerate(content["features"]):
        geometry = one["geometry"]
        ring = np.array(geometry["coordinates"][0][:-1]) + (-1) ** number * 0.005
        ring = np.round(np.roll(ring, number, axis=0)[::-1], 2)
        if geometry.get("isEllipse"):
            turn = 2 * np.pi * np.arange(100) / 100
            low, high = ring.min(axis=0), ring.max(axis=0)
            unit = np.stack([np.cos(turn), np.sin(turn)], axis=1)
            ring = np.round((low + high) / 2 + unit * (high - low) / 2, 2)
        geometry["coordinates"] = [[*ring.tolist(), ring[0].tolist()]]
    done = import_review(workspace, [saved(path, content)], BY)
    assert (done.ref, done.added, done.moved, done.removed) == (ref, 0, 0, 0)


def test_a_new_cell_is_a_persons_and_has_its_id_and_its_reviewer(workspace, versions, reviewed):
    ref, path, content = reviewed
    content["features"].append(drawn(240, 200))
    done = import_review(workspace, [saved(path, content)], BY)
    version = open_version(workspace, done.ref)
    records = version.records(versions.first)
    (row,) = np.flatnonzero(records.annotation_ids == "11111111-1111-4111-8111-111111111111")
    assert records.is_human[row]
    assert records.boxes[row].tolist() == [240, 200, 260, 220]
    assert records.stages[row] == "import"
    assert version.info.parameters["reviewer"] == "Dr. Ito"
    assert (version.info.parent, version.info.stage) == (ref.digest, "import")
    before = open_version(workspace, ref)
    assert version.info.human_count == before.info.human_count + 1
    # 20 level-0 pixels are 10 working pixels here.
    assert (
        np.count_nonzero(np.asarray(version.cells(versions.first)[:]) == records.cell_ids[row])
        == 100
    )


def test_a_found_cell_that_was_moved_is_a_persons_from_then_on(workspace, versions, reviewed):
    _, path, content = reviewed
    one = cells_of(content, versions.first, "pseudo")[0]
    one["geometry"] = box_of(230, 270)
    cell = int(one["properties"]["metadata"]["cell_id"])
    done = import_review(workspace, [saved(path, content)], BY)
    records = open_version(workspace, done.ref).records(versions.first)
    (row,) = np.flatnonzero(records.cell_ids == cell)
    assert (done.moved, records.is_human[row]) == (1, True)
    assert records.parents[int(row)].tolist() == [cell]


def test_a_cell_that_was_deleted_or_called_ignored_is_gone(workspace, versions, reviewed):
    _, path, content = reviewed
    human, found = (cells_of(content, versions.first, one)[0] for one in ("human", "pseudo"))
    content["features"].remove(found)
    human["properties"]["classification"] = {"name": "Ignore*"}
    done = import_review(workspace, [saved(path, content)], BY)
    left = open_version(workspace, done.ref).records(versions.first).cell_ids.tolist()
    for one in (human, found):
        assert int(one["properties"]["metadata"]["cell_id"]) not in left
    assert done.removed == 2


def test_missing_cells_can_be_told_to_stay(workspace, versions, reviewed):
    ref, path, content = reviewed
    content["features"].remove(cells_of(content, versions.first, "pseudo")[0])
    request = Request("Dr. Ito", keep_missing=True)
    assert import_review(workspace, [saved(path, content)], request).ref == ref


def test_the_same_file_onto_its_own_result_is_nothing_new(workspace, versions, reviewed):
    _, path, content = reviewed
    content["features"].append(drawn(240, 200))
    cells_of(content, versions.first, "pseudo")[0]["geometry"] = box_of(230, 270)
    content["features"].remove(cells_of(content, versions.first, "human")[0])
    once = import_review(workspace, [saved(path, content)], BY)
    assert (once.added, once.moved, once.removed) == (1, 1, 1)
    assert import_review(workspace, [path], BY).ref == once.ref
    again = import_review(workspace, [path], Request("Dr. Ito", onto=once.ref))
    assert (again.ref, again.added, again.moved, again.removed) == (once.ref, 0, 0, 0)


def test_what_changed_since_the_export_is_listed_and_the_person_wins(workspace, versions, reviewed):
    ref, path, content = reviewed
    later = versions.round(ref, 2, found=[[60, 5, 80, 25]])
    one = cells_of(content, versions.first, "pseudo")[0]
    one["geometry"] = box_of(230, 270)
    done = import_review(workspace, [saved(path, content)], Request("Dr. Ito", onto=later))
    cell = int(one["properties"]["metadata"]["cell_id"])
    assert done.conflicts == [{"region": versions.first, "cell": cell, "what": "is gone"}]
    assert cell in open_version(workspace, done.ref).records(versions.first).cell_ids


def test_an_object_outside_every_region_is_left_out_by_name(workspace, reviewed):
    ref, path, content = reviewed
    content["features"].append(drawn(90_000, 90_000))
    done = import_review(workspace, [saved(path, content)], BY)
    assert done.ref == ref
    assert done.left_out[0]["reason"] == "its centre lies in no region of the version"


def test_a_drawn_cell_takes_from_found_cells_only(workspace, versions, reviewed):
    ref, path, content = reviewed
    before = open_version(workspace, ref)
    was = np.asarray(before.cells(versions.first)[:])
    content["features"].append(drawn(100, 200, side=180))  # over the whole region
    done = import_review(workspace, [saved(path, content)], BY)
    now = np.asarray(open_version(workspace, done.ref).cells(versions.first)[:])
    records = before.records(versions.first)
    for cell in records.cell_ids[records.is_human]:
        assert np.array_equal(was == cell, now == cell)
    assert done.covered == np.count_nonzero(~records.is_human)


def test_a_file_of_no_export_is_refused(workspace, versions, tmp_path):
    versions.ingest()
    path = saved(
        tmp_path / "slide.a.geojson", {"type": "FeatureCollection", "features": [drawn(1, 1)]}
    )
    with pytest.raises(AnnotationError, match="none says"):
        import_review(workspace, [path], BY)
