import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import AnnotationError
from storage.datasets import voc_file
from storage.datasets.voc_file import cells_of, named_image, read_voc, stated_size

SIZE = (100, 80)


def thing(box=(1, 2, 30, 40), name="cell", **more):
    corners = "".join(
        f"<{corner}>{value}</{corner}>" for corner, value in zip(voc_file.CORNERS, box, strict=True)
    )
    rest = "".join(f"<{key}>{value}</{key}>" for key, value in more.items())
    return f"<object><name>{name}</name>{rest}<bndbox>{corners}</bndbox></object>"


def document(*things, head="<filename>a.png</filename>"):
    return f"<annotation>{head}{''.join(things)}</annotation>"


@pytest.fixture
def xml(tmp_path):
    """Return a function that writes a file and gives its path."""

    def write(content):
        path = tmp_path / "a.xml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def cells(path, wanted=()):
    return cells_of(read_voc(path), wanted, "a", SIZE)


def test_corners_are_taken_as_they_stand_without_a_pixel_more(xml):
    found = cells(xml(document(thing((1, 2, 30, 40)), thing((" 0.5\n", "1e1", "+99.25", "80")))))
    assert found.annotations.boxes.tolist() == [[1, 2, 30, 40], [0.5, 10, 99.25, 80]]
    assert (found.refused, found.noticed) == ((), {})
    assert found.annotations.polygons.lengths().tolist() == [0, 0]


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(0, 40, allow_subnormal=False)] * 2,
                  *[st.floats(0.001, 40, allow_subnormal=False)] * 2),
        max_size=5,
    )
)  # fmt: skip
def test_any_box_comes_back_to_the_last_digit(tmp_path_factory, boxes):
    path = tmp_path_factory.mktemp("voc") / "a.xml"
    corners = [(x, y, x + w, y + h) for x, y, w, h in boxes]
    path.write_text(document(*(thing([f"{one:.17f}" for one in box]) for box in corners)))
    found = cells(path)
    written = [[float(f"{one:.17f}") for one in box] for box in corners]
    assert found.annotations.boxes.tolist() == written


def test_an_id_follows_from_the_box_and_equal_boxes_are_numbered(xml):
    boxes = [(1, 2, 3, 4), (5, 5, 9.5, 9), (1, 2, 3, 4)]
    path = xml(document(*map(thing, boxes)))
    assert cells(path).annotations.ids.tolist() == ["a#1,2,3,4", "a#5,5,9.5,9", "a#1,2,3,4,2"]
    path = xml(document(*map(thing, boxes[1:])))
    assert cells(path).annotations.ids.tolist() == ["a#5,5,9.5,9", "a#1,2,3,4"]


def test_classes_are_chosen_and_the_others_counted(xml):
    path = xml(document(thing(name="red"), thing(name=" white "), thing(name="")))
    assert len(cells(path).annotations) == 3
    found = cells(path, ("white", "blue"))
    assert len(found.annotations) == 1
    assert found.noticed == {voc_file.OTHER_CLASS: 2}


def test_difficult_and_truncated_objects_are_taken_and_counted(xml):
    path = xml(document(thing(difficult=1, truncated=0), *[thing((3, 3, 9, 9), truncated=1)] * 2))
    found = cells(path)
    assert len(found.annotations) == 3
    assert found.noticed == {voc_file.DIFFICULT: 1, voc_file.TRUNCATED: 2}


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((5, 5, 5, 9), "has width 0 and height 4, expected > 0"),
        ((5, 9, 9, 5), "width 4 and height -4"),
        (("nan", 1, 2, 3), "expected four finite numbers"),
        ((1, 1, "inf", 3), "expected four finite numbers"),
        ((1, 1, "1_0", 3), "expected four finite numbers"),
        ((1, 1, "9" * 400, 3), "expected four finite numbers"),
        ((1, 1, "٣", 3), "expected four finite numbers"),
        ((1, 1, "", 3), "it has no bndbox with xmin, ymin, xmax and ymax"),
        ((90, 1, 102, 3), "reaches out of the image of 100 x 80 px by more than 1 px"),
        ((300, 300, 310, 310), "reaches out of the image"),
    ],
)
def test_a_box_that_cannot_be_is_refused_by_place_and_the_others_stay(xml, box, reason):
    found = cells(xml(document(thing(), thing(box), thing((7, 7, 9, 9)))))
    [refused] = found.refused
    assert refused.name == "a: object 2"
    assert reason in refused.reason
    assert len(found.annotations) == 2


def test_the_place_of_a_refused_object_counts_all_objects_of_the_file(xml):
    found = cells(xml(document(thing(name="red"), thing(), thing((5, 5, 5, 9)))), ("cell",))
    assert [one.name for one in found.refused] == ["a: object 3"]


def test_a_box_that_rounding_moved_out_is_cut_and_counted(xml):
    found = cells(xml(document(thing((-1, 0, 100.5, 81)), thing())))
    assert found.annotations.boxes[0].tolist() == [0, 0, 100, 80]
    assert list(found.noticed.values()) == [1]


def test_an_object_without_a_box_is_refused_and_a_parts_box_is_not_its_own(xml):
    part = thing((3, 4, 5, 6), "nucleus").replace("object>", "part>")
    without = f"<object><name>cell</name>{part}</object>"
    own = thing().replace("<bndbox>", part + "<bndbox>")
    found = cells(xml(document(without, own)))
    assert [one.name for one in found.refused] == ["a: object 1"]
    assert found.annotations.boxes.tolist() == [[1, 2, 30, 40]]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("<size><width>100</width><height>80</height><depth>3</depth></size>", (100, 80)),
        ("<size><width>0</width><height>0</height></size>", None),
        ("<size><width>wide</width></size>", None),
        ("", None),
    ],
)
def test_the_stated_size_is_known_where_there_is_one(xml, size, expected):
    assert stated_size(read_voc(xml(document(head=size)))) == expected


def test_the_image_is_known_from_the_beginning_of_a_file(xml):
    assert named_image(xml(document(thing()))) == "a.png"
    assert named_image(xml(document(thing())[:-30])) == "a.png"
    assert named_image(xml(document(thing(), head=""))) == ""
    assert named_image(xml("no xml")) == ""
    assert named_image(xml("").with_name("gone.xml")) == ""


BOMB = (
    '<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;&b;&b;">]>'
    "<annotation><filename>&c;</filename></annotation>"
)
OUTSIDE = (
    '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
    "<annotation><filename>&b;</filename></annotation>"
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not XML"),
        ("{}", "not XML"),
        (document(thing())[:-20], "not XML"),
        (b"\xff\xfe<\x00", "not XML"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "not XML"),
        ("<Annotations/>", "its root is <Annotations>, expected <annotation>"),
        (BOMB, "it has a DOCTYPE or entities"),
        (OUTSIDE, "it has a DOCTYPE or entities"),
        ("<!DOCTYPE annotation><annotation/>", "it has a DOCTYPE or entities"),
        ("<annotation>" + "<a>" * 10_000, "nested too deeply"),
        ("<annotation><object>" + "<a/>" * 20_000, "too many elements"),
    ],
)
def test_what_is_no_voc_or_attacks_is_refused(xml, content, reason):
    path = xml(content)
    with pytest.raises(AnnotationError, match=reason):
        read_voc(path)
    assert named_image(path) in {"", "a.png"}


def test_many_objects_are_no_attack(xml):
    assert len(read_voc(xml(document(*[thing()] * 3000))).objects) == 3000


def test_a_file_that_is_too_large_is_not_read(xml, monkeypatch):
    monkeypatch.setattr(voc_file, "MAXIMUM_XML_MB", 0.00001)
    with pytest.raises(AnnotationError, match="at most 1e-05 are read"):
        read_voc(xml(document(thing())))


def test_a_file_that_is_gone_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_voc(tmp_path / "gone.xml")
