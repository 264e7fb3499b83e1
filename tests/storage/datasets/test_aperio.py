import tracemalloc
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.annotations import Role
from models.errors import AnnotationError
from models.geometry.tiles import Window
from storage.datasets import aperio_file
from storage.datasets.aperio import AperioReader
from storage.datasets.aperio_file import read_aperio, stated_mpp
from storage.datasets.drawn import Drawn, Unusable
from storage.datasets.drawn_slide import Wanted
from storage.datasets.protocol import RefusedItem, SourceItem
from storage.datasets.synthetic.slides import write_svs

SQUARE = [(10, 20), (30, 20), (30, 45.5), (10, 45.5)]
WHOLE = [(0, 0), (200, 0), (200, 200), (0, 200)]


def drawn_region(points=SQUARE, kind=0, number=1, **told):
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in points)
    words = " ".join(
        f'{key}="{value}"' for key, value in {"Id": number, "Type": kind, **told}.items()
    )
    return f"<Region {words}><Attributes/><Vertices>{vertices}</Vertices><Plots/></Region>"


def layer(*regions, name="", number=1):
    inside = "<RegionAttributeHeaders/>" + "\n".join(regions)
    return (
        f'<Annotation Id="{number}" Name="{name}" Type="4"><Attributes/><Regions>{inside}</Regions>'
        f"</Annotation>"
    )


def document(*layers, mpp="0.252500"):
    return f'<Annotations MicronsPerPixel="{mpp}">\n{"".join(layers)}\n</Annotations>'


@pytest.fixture
def read(tmp_path):
    def run(*layers, text=None):
        path = tmp_path / "a.xml"
        path.write_text(text or document(*layers))
        return list(read_aperio(path, "slide"))

    return run


def test_an_outline_has_the_id_of_its_slide_layer_and_region(read):
    one, two = read(layer(drawn_region(), name="SRC"), layer(drawn_region(number=7), number=2))
    assert [one.id, two.id] == ["slide/1/1", "slide/2/7"]
    assert [part.tolist() for part in one.parts] == [[list(point) for point in SQUARE]]
    assert (one.class_name, one.is_ellipse, one.is_excluded) == ("SRC", False, False)


@pytest.mark.parametrize(
    ("name", "text", "class_name"),
    [("SRC", "", "SRC"), ("SRC", "unsure", "SRC"), ("", "Mitosis", "Mitosis"), ("", "", ""),
     ("Layer 1", "Mitosis", "Mitosis"), ("annotation2", "", "")],
)  # fmt: skip
def test_the_class_is_the_layers_name_or_else_the_text(read, name, text, class_name):
    (one,) = read(layer(drawn_region(Text=text), name=name))
    assert (one.class_name, one.name) == (class_name, text)


@pytest.mark.parametrize("points", [[(30, 20), (10, 45.5)], [(10, 20), (30, 45.5)], SQUARE])
def test_an_ellipse_is_known_by_its_box_exactly(read, points):
    (one,) = read(layer(drawn_region(points, kind=2)))
    assert one.is_ellipse
    assert one.box.tolist() == [10, 20, 30, 45.5]


def test_an_ellipse_of_many_points_is_an_outline(read):
    ring = [(20 + 10 * np.cos(turn), 20 + 5 * np.sin(turn)) for turn in np.arange(0, 6, 0.5)]
    (one,) = read(layer(drawn_region(ring, kind=2)))
    assert not one.is_ellipse
    assert np.array_equal(one.parts[0], np.array(ring))


@pytest.mark.parametrize("points", [SQUARE, [*SQUARE, SQUARE[0]], [(10, 20), (30, 45.5)]])
def test_a_rectangle_has_four_corners(read, points):
    (one,) = read(layer(drawn_region(points, kind=1)))
    assert sorted(map(tuple, one.parts[0].tolist())) == sorted(SQUARE)


@pytest.mark.parametrize(
    ("region", "reason", "is_mark"),
    [
        (drawn_region(SQUARE[:2], kind=3), "it is an arrow, no area", False),
        (drawn_region(SQUARE[:2], kind=4), "it is a ruler, no area", False),
        (drawn_region(kind=9), "it is of type '9', no area", True),
        (drawn_region(SQUARE[:2]), "it has 2 points, expected at least 3", True),
        (drawn_region([]), "it has 0 points", True),
        (drawn_region([*SQUARE, ("NaN", 1)]), "its vertices hold something else", True),
        (drawn_region([*SQUARE, ("1e999", 1)]), "its vertices hold something else", True),
        (drawn_region([*SQUARE, ("", 1)]), "its vertices hold something else", True),
    ],
)
def test_what_is_no_area_is_told(read, region, reason, is_mark):
    (one,) = read(layer(region))
    assert isinstance(one, Unusable)
    assert one.reason.startswith(reason)
    assert (one.id, one.is_mark) == ("slide/1/1", is_mark)


def test_what_is_cut_out_is_told(read):
    one, two = read(layer(drawn_region(NegativeROA=1), drawn_region(number=2, NegativeROA=0)))
    assert (one.is_excluded, two.is_excluded) == (True, False)


def test_ids_that_come_twice_or_are_missing_follow_from_the_outline(read):
    other = [(x + 1, y) for x, y in SQUARE]
    regions = drawn_region(), drawn_region(other), drawn_region(other, number=""), drawn_region()
    first, second, third, fourth = (one.id for one in read(layer(*regions)))
    assert first == "slide/1/1"
    assert second == third
    assert len({first, second, fourth}) == 3


def test_too_many_points_are_counted_and_not_kept(read, monkeypatch):
    monkeypatch.setattr(aperio_file, "MAXIMUM_POINTS", 4)
    large, small = read(layer(drawn_region([*SQUARE, (1, 1)]), drawn_region(number=2)))
    assert large.reason == "it has 5 points, at most 4 are read"
    assert isinstance(small, Drawn)


def test_too_many_regions_are_refused(read, monkeypatch):
    monkeypatch.setattr(aperio_file, "MAXIMUM_REGIONS", 2)
    with pytest.raises(AnnotationError, match="more than 2 regions"):
        read(layer(*(drawn_region(number=n) for n in range(3))))


def test_a_large_file_takes_little_memory(tmp_path):
    path = tmp_path / "a.xml"
    ring = [(x, x * x) for x in range(100)]
    path.write_text(document(layer(*(drawn_region(ring, number=n) for n in range(400)))))
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_aperio(path, "slide"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 400
    assert peak < 2**20 < path.stat().st_size


BOMB = """<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>"""


@pytest.mark.parametrize(
    ("what", "text", "reason"),
    [
        ("entities", BOMB + "<Annotations>&c;</Annotations>", "a DOCTYPE or entities"),
        ("another file", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><Annotations/>", "a DOCTYPE"),
        ("no XML", "{}", "not XML"),
        ("cut off", document(layer(drawn_region()))[:-5], "not XML"),
        ("another root", "<annotation/>", "its root is <annotation>, expected <Annotations>"),
        ("depth", "<Annotations>" + "<a>" * 40 + "</a>" * 40 + "</Annotations>", "too deeply"),
        ("another encoding", '<?xml version="1.0" encoding="nonsense"?><Annotations/>', "not XML"),
    ],
)  # fmt: skip
def test_hostile_and_damaged_files_are_refused(read, tmp_path, what, text, reason):
    with pytest.raises(AnnotationError, match=rf"a\.xml: .*{reason}"):
        read(text=text)


def test_a_missing_or_huge_file_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="cannot be read"):
        list(read_aperio(tmp_path / "gone.xml", "a"))
    with (tmp_path / "a.xml").open("wb") as stream:
        stream.truncate((aperio_file.MAXIMUM_MB + 1) * 2**20)
    with pytest.raises(AnnotationError, match="257 MB of XML, at most 256"):
        list(read_aperio(tmp_path / "a.xml", "a"))


@pytest.mark.parametrize(
    ("text", "mpp"),
    [("0.252500", 0.2525), ("0", None), ("", None), ("none", None), ("352.8", None)],
)
def test_the_pixel_size_is_read_if_it_can_be_believed(tmp_path, text, mpp):
    path = tmp_path / "a.xml"
    path.write_text(document(mpp=text))
    assert stated_mpp(path) == mpp


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (400, 300), (220, 150, 190)).save(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text(
        document(
            layer(drawn_region(), drawn_region([(50, 60), (90, 80)], kind=2, number=2)),
            layer(drawn_region(WHOLE, kind=1), name="Completely annotated", number=2),
        )
    )
    return tmp_path


def only(reader) -> Any:
    (one,) = reader.items()
    return one


def test_an_image_comes_with_its_outlines_and_pixel_size(folder):
    one = only(AperioReader(folder))
    assert isinstance(one, SourceItem)
    assert (one.name, one.mpp) == ("a", 0.2525)
    assert one.annotations.ids.tolist() == ["a/1/1", "a/1/2"]
    assert one.annotations.boxes.tolist() == [[10, 20, 30, 45.5], [50, 60, 90, 80]]
    assert one.annotations.polygons.lengths().tolist() == [4, 0]
    assert one.truth_windows == (Window(0, 0, 200, 200),)
    assert [known.role for known in one.windows] == [Role.POSITIVE]


def test_a_pixel_size_that_is_given_counts(folder):
    one = only(AperioReader(folder, mpp=0.5))
    assert one.mpp == 0.5


def test_one_class_can_be_asked_for(folder):
    text = (folder / "a.xml").read_text().replace('Type="2"', 'Type="2" Text="SRC"')
    (folder / "a.xml").write_text(text)
    one = only(AperioReader(folder, Wanted(("SRC",))))
    assert one.annotations.ids.tolist() == ["a/1/2"]


def test_annotations_of_another_scale_are_refused(tmp_path):
    write_svs(tmp_path / "a.svs", np.full((512, 512, 3), 200, np.uint8))
    path = tmp_path / "a.xml"
    path.write_text(document(layer(drawn_region(WHOLE, name="annotated")), mpp="0.5"))
    refused = only(AperioReader(tmp_path, Wanted(role=Role.POSITIVE)))
    assert isinstance(refused, RefusedItem)
    assert "a.xml: it was drawn at 0.5 micrometres per pixel, the slide has 0.25" in refused.reason
    path.write_text(document(layer(drawn_region(WHOLE)), mpp="0.2525"))
    one = only(AperioReader(tmp_path, Wanted(role=Role.POSITIVE)))
    assert one.mpp == 0.25
