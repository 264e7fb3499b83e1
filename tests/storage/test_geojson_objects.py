import json

import numpy as np
import pytest

from storage.datasets.drawn import Drawn, Unusable
from storage.geojson import cell_name, id_of
from storage.geojson_objects import class_of, read_objects

RING: list[list[float]] = [[0, 0], [8, 0], [8, 8.25], [0, 8], [0, 0]]
MINE = "5b1e38a4-6c0c-4d3b-9a52-0a4c0a5d4f11"


def feature(object_id=MINE, geometry=None, **properties):
    geometry = geometry or {"type": "Polygon", "coordinates": [RING]}
    return {"type": "Feature", "id": object_id, "geometry": geometry, "properties": properties}


@pytest.fixture
def read(tmp_path):
    def run(*content, slide="slide"):
        path = tmp_path / "a.geojson"
        path.write_text(json.dumps(list(content)))
        return list(read_objects(path, slide))

    return run


def test_an_annotation_is_an_outline_with_id_class_and_name(read):
    (one,) = read(feature(classification={"name": "SRC", "color": [1, 2, 3]}, name="odd one"))
    assert isinstance(one, Drawn)
    assert (one.id, one.class_name, one.name) == (MINE, "SRC", "odd one")
    assert [part.tolist() for part in one.parts] == [RING[:-1]]
    assert (one.is_ellipse, one.has_holes, one.by_program) == (False, False, False)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"name": "SRC", "color": [1, 2, 3]}, "SRC"),
        ("SRC", "SRC"),
        ({"names": ["Tumor", "Positive"]}, "Tumor: Positive"),
        ({"name": "SRC", "colorRGB": -3140401}, "SRC"),
        ({"name": "Positive", "parentClass": {"name": "Tumor"}}, "Tumor: Positive"),
        ({}, ""),
        (None, ""),
        (["SRC"], ""),
        ({"name": "a\nb"}, "a?b"),
    ],
)
def test_a_class_is_read_however_qupath_wrote_it(said, name):
    assert class_of(said) == name


def test_ids_are_taken_exactly_as_they_are(read):
    ids = [MINE, MINE.upper(), "nucleus 17 (é)"]
    assert [one.id for one in read(*map(feature, ids))] == ids
    assert read(feature(17))[0].id == "17"


def test_an_object_without_an_id_gets_one_from_what_it_is_and_not_from_where_it_stands(read):
    """QuPath 0.2 wrote the kind of object in place of an id."""
    told = {"classification": {"name": "SRC"}}
    old, none = feature("PathAnnotationObject", **told), feature(**told)
    del none["id"]
    first, second = read(old)[0].id, read(feature("other"), none)[1].id
    assert first == second
    others = {read(none, slide="b")[0].id, read(feature("PathAnnotationObject"))[0].id}
    assert len({first, *others}) == 3


@pytest.mark.parametrize("wrong", ["", "a\x1b[2J", "x" * 301, True, 1.5, {"a": 1}, "a\u202eb"])
def test_an_id_that_cannot_be_kept_refuses_the_object(read, wrong):
    (one,) = read(feature(wrong))
    assert isinstance(one, Unusable)
    assert one.reason.startswith("its id is ")
    assert one.id.isprintable()


@pytest.mark.parametrize(
    ("kind", "by_program"),
    [({"objectType": "annotation"}, False), ({"object_type": "annotation"}, False), ({}, False),
     ({"objectType": "detection"}, True), ({"objectType": "cell"}, True),
     ({"objectType": "PathDetectionObject"}, True)],
)  # fmt: skip
def test_detections_are_marks_of_a_program(read, kind, by_program):
    assert read(feature(**kind))[0].by_program is by_program


def test_the_old_form_of_a_detection_is_known_by_its_id(read):
    assert read(feature("PathCellObject"))[0].by_program is True


@pytest.mark.parametrize("kind", ["tile", "tmaCore", "tma_core", "root", "PathTileObject"])
def test_tiles_and_cores_are_no_cells(read, kind):
    (one,) = read(feature(objectType=kind))
    assert isinstance(one, Unusable)
    assert not one.is_mark


def test_what_a_network_found_is_known_after_an_export_until_a_person_gives_it_a_class(read):
    told = {"objectType": "annotation", "metadata": {"origin": "pseudo"}}
    kept = feature(classification={"name": "pseudo"}, **told)
    renamed = feature(classification={"name": "SRC"}, **told)
    assert [one.by_program for one in read(kept, renamed)] == [True, False]


def exported(object_id, **changed):
    told = {"origin": "human", "region": "s@0,0", "cell_id": "7", "annotation_id": "nucleus 17"}
    return feature(object_id, classification={"name": "human"}, metadata={**told, **changed})


def test_an_exported_cell_gets_its_annotation_id_back(read):
    """A copy made in QuPath has the same metadata, but is another cell."""
    own = id_of(cell_name("", "s@0,0", 7))
    original, copy, moved = read(exported(own), exported(MINE), exported(own, cell_id="8"))
    assert [original.id, copy.id, moved.id] == ["nucleus 17", MINE, own]


def test_ellipses_parts_and_holes_are_told(read):
    ellipse = {"type": "Polygon", "coordinates": [RING], "isEllipse": True}
    hole = {"type": "Polygon", "coordinates": [RING, [[2, 2], [3, 2], [3, 3], [2, 2]]]}
    parts = {"type": "MultiPolygon", "coordinates": [[RING], [RING]]}
    one, two, three = read(*(feature(f"{n}", it) for n, it in enumerate([ellipse, hole, parts])))
    assert (one.is_ellipse, one.has_holes, len(one.parts)) == (True, False, 1)
    assert (two.is_ellipse, two.has_holes, len(two.parts)) == (False, True, 1)
    assert (three.has_holes, len(three.parts)) == (False, 2)


def test_a_third_coordinate_is_left_out(read):
    deep = {"type": "Polygon", "coordinates": [[[x, y, 3] for x, y in RING]]}
    assert read(feature(geometry=deep))[0].parts[0].tolist() == RING[:-1]


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, "it is a Point, no area"),
        ({"type": "LineString", "coordinates": RING}, "it is a LineString, no area"),
        ({"coordinates": RING}, "it is a thing without a type, no area"),
        ("here", "it has no geometry"),
        ({"type": "Polygon"}, "its coordinates are not those of a Polygon"),
        ({"type": "Polygon", "coordinates": []}, "its coordinates are not those of a Polygon"),
        ({"type": "Polygon", "coordinates": RING}, "its outline holds something else"),
        ({"type": "MultiPolygon", "coordinates": [RING]}, "its outline holds something else"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, "1"], [2, 2]]]}, "its outline holds"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1e300], [2, 2]]]}, "its outline holds"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, True], [2, 2]]]}, "its outline holds"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}, "its outline has 2"),
        ({"type": "Polygon", "coordinates": [[]]}, "its outline has 0 points"),
    ],
)  # fmt: skip
def test_what_is_no_area_is_refused_with_its_reason(read, geometry, reason):
    (one,) = read(feature(geometry=geometry))
    assert isinstance(one, Unusable)
    assert one.id == MINE
    assert one.reason.startswith(reason)


def test_lines_and_points_without_a_class_mark_no_cell(read):
    point = {"type": "Point", "coordinates": [1, 2]}
    line = {"type": "LineString", "coordinates": RING}
    src = {"classification": {"name": "SRC"}}
    marks = [one.is_mark for one in read(
        feature(geometry=point), feature(geometry=line, **src), feature(geometry=point, **src),
    )]  # fmt: skip
    assert marks == [False, False, True]


def test_nested_objects_are_told(read):
    tumour = {"classification": {"name": "Tumor"}}
    nested, own = read(feature(childObjects=[feature("b"), feature("c")], **tumour))
    assert (nested.class_name, nested.is_mark) == ("", True)  # they may be of any class
    assert nested.reason.startswith("2 objects are nested in it")
    assert isinstance(own, Drawn)


def test_an_empty_object_is_no_area(read):
    (one,) = read({})
    assert (one.id, one.reason) == ("number 0", "it is a thing without a type, no area")


def test_a_geometry_that_stands_alone_is_an_outline(read):
    (one,) = read({"type": "Polygon", "coordinates": [RING]})
    assert np.array_equal(one.parts[0], np.array(RING[:-1], float))


def test_an_object_whose_kind_is_no_text_is_no_area(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text('[{"type": "Feature", "geometry": {"type": [1], "coordinates": []}}]')
    (one,) = read_objects(path, "a")
    assert isinstance(one, Unusable)
    assert "no area" in one.reason
