import numpy as np
import pytest
from PIL import Image

from models.annotations import Role
from models.errors import InputError, WrongUseError
from storage.datasets.protocol import RefusedItem, SourceItem
from storage.datasets.voc import VocOptions, VocReader

SIZE = (40, 30)


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE[::-1], 3), np.uint8)
    Image.fromarray(noise).save(path)


def xml(path, *boxes, names=(), size=SIZE, file_name=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax>"
        f"<ymax>{y1}</ymax></bndbox></object>"
        for (x0, y0, x1, y1), name in zip(boxes, names or ["cell"] * len(boxes), strict=True)
    )
    path.write_text(
        f"<annotation><filename>{file_name}</filename><size><width>{size[0]}</width><height>"
        f"{size[1]}</height></size>{objects}</annotation>"
    )


@pytest.fixture
def folder(tmp_path):
    """Return a dataset of one image with two boxes."""
    folder = tmp_path / "data"
    picture(folder / "JPEGImages" / "a.png")
    xml(folder / "Annotations" / "a.xml", (1, 2, 11, 22), (5, 5, 9, 9), names=["red", "white"])
    return folder


def read(folder, **options):
    reader = VocReader(folder, VocOptions(**options))
    found = list(reader.items())
    accepted = [one for one in found if isinstance(one, SourceItem)]
    refused = {one.name: one.reason for one in found if isinstance(one, RefusedItem)}
    return accepted, refused


def test_an_image_comes_with_its_boxes(folder):
    [item], refused = read(folder, mpp=0.25)
    assert refused == {}
    assert (item.name, item.path) == ("a", folder / "JPEGImages" / "a.png")
    assert (item.width, item.height, item.mpp) == (*SIZE, 0.25)
    assert item.annotations.boxes.tolist() == [[1, 2, 11, 22], [5, 5, 9, 9]]
    assert item.windows[0].role is Role.POSITIVE
    assert (item.truth, item.attributes) == (None, {"slide": "a"})


def test_files_may_lie_in_any_arrangement(folder):
    (folder / "JPEGImages" / "a.png").rename(folder / "a.png")
    assert len(read(folder)[0]) == 1
    (folder / "Annotations" / "a.xml").rename(folder / "a.XML")
    assert len(read(folder)[0]) == 1


def test_complete_annotations_are_the_truth_unless_one_was_refused(folder):
    xml(folder / "b.xml", (1, 1, 1, 5))
    picture(folder / "b.png")
    [one, other], refused = read(folder, complete=True)
    assert one.truth.boxes.tolist() == one.annotations.boxes.tolist()
    assert other.truth is None
    assert list(refused) == ["b: object 1"]


def test_one_class_or_several_can_be_taken_as_one(folder):
    assert read(folder, class_names=("white",))[0][0].annotations.boxes.tolist() == [[5, 5, 9, 9]]
    assert len(read(folder, class_names=("white", "red"))[0][0].annotations) == 2


def test_a_class_that_no_file_has_is_named_with_those_there_are(folder):
    with pytest.raises(WrongUseError, match="no object is called 'blue'; there are red, white"):
        read(folder, class_names=("red", "blue"))


def test_a_class_is_not_missed_where_nothing_could_be_read(folder):
    (folder / "Annotations" / "a.xml").write_text("no xml")
    accepted, refused = read(folder, class_names=("red",))
    assert accepted == []
    assert "Annotations/a.xml: it is not XML" in refused["JPEGImages/a.png"]


def test_an_image_without_a_file_is_refused_unless_said_what_it_is(folder):
    picture(folder / "JPEGImages" / "b.png")
    accepted, refused = read(folder)
    assert len(accepted) == 1
    assert "there is no XML file for it" in refused["JPEGImages/b.png"]
    unlabelled = read(folder, without_xml="unlabelled")[0][1]
    assert (unlabelled.windows[0].role, unlabelled.truth) == (Role.UNLABELLED, None)
    negative = read(folder, without_xml="negative")[0][1]
    assert (negative.windows[0].role, len(negative.truth)) == (Role.NEGATIVE, 0)


def test_a_damaged_image_without_a_file_is_refused(folder):
    (folder / "JPEGImages" / "b.png").write_text("no image")
    assert "JPEGImages/b.png" in read(folder, without_xml="negative")[1]


@pytest.mark.parametrize("role", [Role.NEGATIVE, Role.UNLABELLED])
def test_objects_of_images_that_have_none_by_their_role_are_a_contradiction(folder, role):
    _, refused = read(folder, role=role)
    assert f"called {role} but has 2 annotations" in refused["JPEGImages/a.png"]
    xml(folder / "Annotations" / "a.xml")
    assert read(folder, role=role)[0][0].windows[0].role is role


def test_an_image_of_another_size_than_its_file_says_is_refused(folder):
    xml(folder / "Annotations" / "a.xml", (1, 2, 3, 4), size=(80, 60))
    accepted, refused = read(folder)
    assert accepted == []
    assert "the image has 40 x 30 px, the file says 80 x 60" in refused["JPEGImages/a.png"]


def test_a_name_in_a_file_that_leads_out_of_the_folder_is_not_followed(folder, tmp_path):
    picture(tmp_path / "secret.png")
    for name in ("../../secret.png", str(tmp_path / "secret.png"), "..\\..\\secret.png"):
        xml(folder / "Annotations" / "a.xml", (1, 2, 3, 4), file_name=name)
        assert read(folder)[0][0].path == folder / "JPEGImages" / "a.png"
        xml(folder / "Annotations" / "b.xml", (1, 2, 3, 4), file_name=name)
        accepted, refused = read(folder)
        assert len(accepted) == 1
        assert "there is no image b.*" in refused["Annotations/b.xml"]


def test_which_of_stem_and_name_counts_can_be_said(folder):
    picture(folder / "JPEGImages" / "b.png")
    xml(folder / "Annotations" / "a.xml", (1, 2, 3, 4), file_name="b.png")
    accepted, refused = read(folder)
    assert accepted == []
    assert "--image-by stem or --image-by name" in refused["Annotations/a.xml"]
    [item], refused = read(folder, image_by="name")
    assert item.name == "b"
    assert list(refused) == ["JPEGImages/a.png"]


def test_masks_of_the_same_stem_are_no_images(folder):
    picture(folder / "SegmentationClass" / "a.png")
    picture(folder / "SegmentationClass" / "b.png")
    (folder / "JPEGImages" / "a.png").rename(folder / "JPEGImages" / "a.jpg")
    xml(folder / "Annotations" / "a.xml", (1, 2, 3, 4), file_name="a.jpg")
    [item], refused = read(folder)
    assert (item.path, refused) == (folder / "JPEGImages" / "a.jpg", {})


def test_a_folder_without_xml_says_what_is_expected(tmp_path):
    picture(tmp_path / "a.png")
    with pytest.raises(InputError, match="no XML file there or below"):
        read(tmp_path)


@pytest.mark.parametrize("mpp", [0, -1, 352.8, float("nan")])
def test_a_pixel_size_that_no_microscope_gives_is_wrong_use(folder, mpp):
    with pytest.raises(WrongUseError, match="none of a microscope"):
        read(folder, mpp=mpp)
