import gzip
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import AnnotationError
from storage import geojson_stream
from storage.geojson_stream import NESTED, TooLarge, features

SQUARE = [[[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]]


def feature(name="a", coordinates=SQUARE, **properties):
    geometry = {"type": "Polygon", "coordinates": coordinates}
    return {"type": "Feature", "id": name, "geometry": geometry, "properties": properties}


@pytest.fixture
def read(tmp_path):
    def run(content):
        path = tmp_path / "a.geojson"
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        path.write_bytes(raw)
        return list(features(path))

    return run


@pytest.mark.parametrize(
    ("what", "content", "ids"),
    [
        ("a collection", {"type": "FeatureCollection", "features": [feature("a")]}, "a"),
        ("a bare list", [feature("a"), feature("b")], "ab"),
        ("a single feature", feature("a"), "a"),
        ("type at the end", {"features": [feature("a")], "type": "FeatureCollection"}, "a"),
        ("a list of both", [{"features": [feature("a")]}, feature("b")], "ab"),
        ("an empty collection", {"type": "FeatureCollection", "features": []}, ""),
        ("an empty list", [], ""),
    ],
)  # fmt: skip
def test_all_that_qupath_writes_is_read(read, what, content, ids):
    assert [one["id"] for one in read(content)] == list(ids), what


def test_a_geometry_that_stands_alone_is_read(read):
    (one,) = read({"type": "Polygon", "coordinates": SQUARE})
    assert one["coordinates"] == SQUARE


def test_only_what_says_something_of_the_object_is_kept(read):
    told = {"objectType": "annotation", "name": "n", "classification": {"name": "c"}}
    more = {"measurements": {"area": 3}, "isLocked": True, "color": [1, 2, 3]}
    one = {**feature(**told, **more), "nucleusGeometry": {"coordinates": SQUARE}}
    (found,) = read([one])
    assert found == feature(**told)


def test_numbers_keep_all_their_digits(read):
    ring = [[[0.1, 1234.56789012345], [3, 4], [1e5, 2.5e-3], [0.1, 1234.56789012345]]]
    assert read([feature(coordinates=ring)])[0]["geometry"]["coordinates"] == ring


def test_nested_objects_are_counted_and_not_read(read):
    children = [feature("b"), feature("c", childObjects=[feature("d")])]
    (one,) = read([feature("a", childObjects=children)])
    assert one["properties"] == {NESTED: 2}


def test_compressed_files_are_read_whatever_they_are_called(read):
    packed = gzip.compress(json.dumps([feature("a")]).encode())
    assert [one["id"] for one in read(packed)] == ["a"]


def test_a_byte_order_mark_is_no_fault(read):
    assert len(read(b"\xef\xbb\xbf" + json.dumps([feature()]).encode())) == 1


def test_measurements_that_are_no_numbers_disturb_nothing(read):
    """QuPath writes NaN and Infinity, which JSON does not have."""
    raw = json.dumps([feature('NaN, -Infinity "NaN\\', measurements={"a": 1, "b": 2, "c": 3})])
    raw = raw.replace(": 1", ": NaN").replace(": 2", ": -Infinity").replace(": 3", ":Infinity")
    assert read(raw.encode())[0]["id"] == 'NaN, -Infinity "NaN\\'


def test_a_coordinate_that_is_no_number_is_null(read):
    raw = json.dumps([feature("a"), feature("b")]).replace("8, 8", "NaN, 8", 1)
    first, second = read(raw.encode())
    assert first["geometry"]["coordinates"][0][2] == [None, 8]
    assert second["geometry"]["coordinates"] == SQUARE


@given(
    texts=st.lists(
        st.text(st.sampled_from('NaInfty",\\-: é'), max_size=12), min_size=1, max_size=6
    ),
    size=st.integers(1, 40),
)
def test_text_is_never_changed_however_it_is_cut_into_pieces(tmp_path_factory, texts, size):
    path = tmp_path_factory.getbasetemp() / "pieces.geojson"
    raw = json.dumps([[text, float("nan")] for text in texts]).encode()
    pieces = []
    path.write_bytes(raw)
    with path.open("rb") as stream:
        cleaned = geojson_stream._Cleaned(path, stream)
        while piece := cleaned.read(size):
            pieces.append(piece)
    assert json.loads(b"".join(pieces)) == [[text, None] for text in texts]


@pytest.mark.parametrize(
    ("what", "raw", "reason"),
    [
        ("nothing", b"", "not JSON"),
        ("no JSON", b"<xml/>", "not JSON"),
        ("cut off", json.dumps([feature()]).encode()[:-9], "not JSON"),
        ("more behind the end", json.dumps([feature()]).encode() + b"x", "not JSON"),
        ("no text", b'["\xff"]', "not JSON"),
        ("a number too large", b"[" + b"9" * 400 + b"]", "not JSON"),
        ("a single value", b"3", "single JSON value"),
        ("cut off when packed", gzip.compress(json.dumps([feature()]).encode())[:-9], "damaged"),
        ("brackets", b"[" * 100_000, "nested too deeply"),
    ],
)
def test_damaged_files_are_refused_by_name_and_reason(read, what, raw, reason):
    with pytest.raises(AnnotationError, match=rf"a\.geojson: .*{reason}"):
        read(raw)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match=r"gone\.geojson: cannot be read"):
        list(features(tmp_path / "gone.geojson"))


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "a.geojson"
    with path.open("wb") as stream:
        stream.truncate((geojson_stream.MAXIMUM_MB + 1) * 2**20)
    with pytest.raises(AnnotationError, match="more than 256 MB"):
        list(features(path))


def test_a_file_that_unpacks_to_too_much_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(geojson_stream, "MAXIMUM_MB", 1)
    path = tmp_path / "a.geojson.gz"
    path.write_bytes(gzip.compress(b"[" + b"1, " * 2**20))
    with pytest.raises(AnnotationError, match="more than 1 MB"):
        list(features(path))


def test_a_text_without_end_is_given_up(read, monkeypatch):
    with pytest.raises(AnnotationError, match="a text too long"):
        read(b'["' + b"x" * (3 * 2**20))


def test_too_many_objects_are_refused(read, monkeypatch):
    monkeypatch.setattr(geojson_stream, "MAXIMUM_OBJECTS", 3)
    assert len(read([feature()] * 3)) == 3
    with pytest.raises(AnnotationError, match="more than 3 objects"):
        read([feature()] * 4)


def test_an_object_of_too_many_points_is_passed_over_and_the_rest_read(read, monkeypatch):
    monkeypatch.setattr(geojson_stream, "MAXIMUM_POINTS", 10)
    large = feature("large", coordinates=[[[i, i] for i in range(11)]])
    reordered = dict(reversed(large.items()))
    first, second, third = read([large, reordered, feature("small")])
    assert first == TooLarge("large", "it has more than 10 points")
    assert second == TooLarge(None, "it has more than 10 points")
    assert third["id"] == "small"


def test_an_object_of_too_many_values_or_brackets_is_passed_over(read):
    many = feature("many", metadata={str(i): "" for i in range(1001)})
    deep = feature("deep", metadata={"a": json.loads("[" * 20 + "]" * 20)})
    first, second, third = read([many, deep, feature("small")])
    assert first.reason == "it has more than 1000 values beside its points"
    assert second.reason == "it is nested too deeply"
    assert third["id"] == "small"


def test_what_is_no_object_is_told(read):
    first, second = read([3, feature("a")])
    assert first == TooLarge(None, "it is a single value, expected an object with a geometry")
    assert second["id"] == "a"


def test_a_large_file_takes_little_memory(tmp_path):
    path = tmp_path / "a.geojson"
    one = json.dumps(feature(coordinates=[[[i + 0.25, i / 3] for i in range(200)]]))
    path.write_text("[" + ",".join([one] * 500) + "]")
    tracemalloc.start()
    try:
        count = sum(1 for _ in features(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 500
    assert peak < 1.5 * 2**20 < path.stat().st_size


def test_bytes_that_are_no_text_are_no_json(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_bytes(b'{"type": "Feature", "properties": {"name": "\xed\xa0\x80"}}')
    with pytest.raises(AnnotationError, match=r"a\.geojson: not JSON"):
        list(features(path))
