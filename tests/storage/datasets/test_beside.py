import pytest

from models.errors import InputError
from storage.datasets.beside import paired

ENDS = (".geojson", ".geojson.gz")


@pytest.fixture
def folder(tmp_path):
    def make(*names):
        for name in names:
            path = tmp_path / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        return tmp_path / "data"

    return make


def names(pairs):
    return [(one.name, one.slide.name, one.annotations.name) for one in pairs]


@pytest.mark.parametrize(
    "file", ["a.geojson", "a.svs.geojson", "a.geojson.gz", "a.svs.geojson.gz", "A.GeoJSON"]
)
def test_annotations_are_called_like_their_slide(folder, file):
    pairs, refused = paired(folder("a.svs", file), ENDS)
    assert names(pairs) == [("a", "a.svs", file)]
    assert refused == []


def test_exported_files_are_found_by_their_quoted_name(folder):
    pairs, _ = paired(folder("ä+b.svs", "%C3%A4%2Bb.geojson"), ENDS)
    assert names(pairs) == [("ä+b", "ä+b.svs", "%C3%A4%2Bb.geojson")]


def test_pairs_lie_in_one_folder_and_come_in_order(folder):
    data = folder("b/x.svs", "b/x.geojson", "a/x.svs", "a/x.geojson", "a/y.png", "b/y.geojson")
    pairs, refused = paired(data, ENDS)
    assert [(one.name, one.slide_name) for one in pairs] == [
        ("a_x", "a/x.svs"), ("b_x", "b/x.svs"),
    ]  # fmt: skip
    assert [one.name for one in refused] == ["a/y.png", "b/y.geojson"]
    assert refused[0].reason.startswith("there is no y.geojson for it")
    assert refused[1].reason == "there is no slide of that name for it."


def test_annotations_may_lie_elsewhere(folder, tmp_path):
    data = folder("b/x.svs", "a/y.svs", "a/y.geojson")
    exported = tmp_path / "exported"
    (exported / "deep").mkdir(parents=True)
    for name in ("x.geojson", "deep/y.svs.geojson"):
        (exported / name).write_text("")
    pairs, refused = paired(data, ENDS, exported)
    assert names(pairs) == [("y", "y.svs", "y.svs.geojson"), ("x", "x.svs", "x.geojson")]
    assert refused == []


def test_what_is_not_clear_is_refused(folder):
    data = folder("a.svs", "a.png", "a.geojson", "b.svs", "b.geojson", "b.svs.geojson")
    pairs, refused = paired(data, ENDS)
    assert pairs == []
    reasons = {one.name: one.reason for one in refused}
    assert sorted(reasons) == ["a.png", "a.svs", "b.svs"]
    assert reasons["a.svs"].startswith("a.geojson belongs to another file of that name as well")
    assert "b.geojson and b.svs.geojson could both be" in reasons["b.svs"]


def test_a_name_in_full_makes_it_clear(folder):
    pairs, refused = paired(folder("a.svs", "a.png", "a.svs.geojson"), ENDS)
    assert names(pairs) == [("a.svs", "a.svs", "a.svs.geojson")]
    assert [one.name for one in refused] == ["a.png"]


@pytest.mark.parametrize("named", ["a.svs", "a.geojson"])
def test_one_file_of_a_pair_names_both(folder, named):
    data = folder("a.svs", "a.geojson", "b.svs", "c.geojson")
    pairs, refused = paired(data / named, ENDS)
    assert names(pairs) == [("a", "a.svs", "a.geojson")]
    assert refused == []


@pytest.mark.parametrize("named", ["b.svs", "c.geojson"])
def test_one_file_without_the_other_is_told(folder, named):
    data = folder("a.svs", "a.geojson", "b.svs", "c.geojson")
    with pytest.raises(InputError, match=rf"{named}: no "):
        paired(data / named, ENDS)


@pytest.mark.parametrize(
    ("files", "reason"),
    [(["a.geojson"], "no slides or images there"), (["a.svs"], "no annotations there"),
     (["a.svs", "a.txt"], "no annotations there")],
)  # fmt: skip
def test_a_folder_without_slides_or_annotations_is_told(folder, files, reason):
    with pytest.raises(InputError, match=reason):
        paired(folder(*files), ENDS)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        paired(tmp_path / "gone", ENDS)


def test_links_that_lead_out_of_the_folder_are_not_followed(folder, tmp_path):
    data = folder("a.svs", "b.svs", "b.geojson")
    (tmp_path / "secret").write_text("{}")
    (data / "a.geojson").symlink_to(tmp_path / "secret")
    pairs, refused = paired(data, ENDS)
    assert names(pairs) == [("b", "b.svs", "b.geojson")]
    assert [one.name for one in refused] == ["a.geojson", "a.svs"]
    assert "leads out of the dataset's folder" in refused[0].reason
