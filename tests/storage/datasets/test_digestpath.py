import numpy as np
import pytest
from PIL import Image

from models.annotations import Role
from models.errors import InputError, WrongUseError
from storage.datasets.digestpath import DigestPathReader, origin_of
from storage.datasets.protocol import RefusedItem, SourceItem
from storage.datasets.voc import VocOptions

SIZE = (40, 30)
POSITIVE = "2018_64982_1-3_2019-02-25 21_57_36-lv0-33516-59515-2003-2010"
NEGATIVE = "D20190481111_2019-06-10 09_22_49-lv0-61840-23896-2000-2000"


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE[::-1], 3), np.uint8)
    Image.fromarray(noise).save(path)


def xml(path, *boxes, name="ring_cell_cancer"):
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax>"
        f"<ymax>{y1}</ymax></bndbox></object>"
        for x0, y0, x1, y1 in boxes
    )
    path.write_text(f"<annotation>{objects}</annotation>")


@pytest.fixture
def folder(tmp_path):
    """Return the challenge's folders with one image each."""
    folder = tmp_path / "Signet_ring_cell_dataset"
    picture(folder / "sig-train-pos" / f"{POSITIVE}.jpeg")
    xml(folder / "sig-train-pos" / f"{POSITIVE}.xml", (1, 2, 11, 22))
    picture(folder / "sig-train-neg" / f"{NEGATIVE}.jpeg")
    return folder


def read(folder, **options):
    found = list(DigestPathReader(folder, VocOptions(**options)).items())
    accepted = {one.name: one for one in found if isinstance(one, SourceItem)}
    refused = {one.name: one.reason for one in found if isinstance(one, RefusedItem)}
    return accepted, refused


def test_positive_images_have_boxes_and_negative_ones_an_empty_truth(folder):
    accepted, refused = read(folder, mpp=0.25)
    assert refused == {}
    positive, negative = accepted[POSITIVE], accepted[NEGATIVE]
    assert positive.annotations.boxes.tolist() == [[1, 2, 11, 22]]
    assert (positive.windows[0].role, positive.truth) == (Role.POSITIVE, None)
    assert (negative.windows[0].role, len(negative.truth)) == (Role.NEGATIVE, 0)
    assert [one.mpp for one in accepted.values()] == [0.25, 0.25]


def test_slide_and_patient_are_known_from_the_file(folder):
    accepted, _ = read(folder)
    assert accepted[POSITIVE].attributes == {"slide": "2018_64982_1-3", "patient": "2018_64982"}
    assert accepted[NEGATIVE].attributes == {"slide": "D20190481111", "patient": "D201904811"}


@pytest.mark.parametrize(
    ("stem", "origin"),
    [
        (POSITIVE, {"slide": "2018_64982_1-3", "patient": "2018_64982"}),
        (POSITIVE.replace(" ", "_"), {"slide": "2018_64982_1-3", "patient": "2018_64982"}),
        ("x y_2019-02-25 21_57_36-lv0-1-2-3-4", {"slide": "x y"}),
        ("2018_64982_1-3", {}),
        ("IMG_0001", {}),
    ],
)
def test_an_origin_is_read_only_where_the_name_has_the_challenges_form(stem, origin):
    assert origin_of(stem) == origin


def test_two_scans_of_one_glass_are_one_slide():
    again = POSITIVE.replace("2019-02-25 21_57_36", "2019-03-14 23_40_58")
    assert origin_of(again) == origin_of(POSITIVE)


@pytest.mark.parametrize("names", [("pos", "neg"), ("Positive", "NEGATIVE"), ("my_pos_1", "neg2")])
def test_any_folder_counts_whose_name_says_what_it_holds(folder, names):
    for old, new in zip(("sig-train-pos", "sig-train-neg"), names, strict=True):
        (folder / old).rename(folder / new)
    assert len(read(folder)[0]) == 2


def test_one_of_the_folders_alone_is_a_dataset(folder):
    assert list(read(folder / "sig-train-pos")[0]) == [POSITIVE]
    assert list(read(folder / "sig-train-neg")[0]) == [NEGATIVE]


def test_the_innermost_folder_that_says_something_counts(folder):
    picture(folder / "sig-train-pos" / "negative" / "deep" / "a.png")
    assert read(folder)[0]["a"].windows[0].role is Role.NEGATIVE


@pytest.mark.parametrize("name", ["posters", "negate", "pos-and-neg", "images"])
def test_a_folder_that_does_not_say_what_it_holds_is_refused(folder, name):
    picture(folder / name / "a.png")
    accepted, refused = read(folder)
    assert len(accepted) == 2
    assert "lies in no folder called positive or negative" in refused[f"{name}/a.png"]


def test_a_positive_image_without_a_file_is_refused_unless_it_is_called_unlabelled(folder):
    picture(folder / "sig-train-pos" / "b.jpeg")
    assert "there is no XML file for it" in read(folder)[1]["sig-train-pos/b.jpeg"]
    item = read(folder, without_xml="unlabelled")[0]["b"]
    assert (item.windows[0].role, item.truth) == (Role.UNLABELLED, None)


def test_a_negative_image_with_boxes_is_a_contradiction(folder):
    xml(folder / "sig-train-neg" / f"{NEGATIVE}.xml", (1, 2, 3, 4))
    accepted, refused = read(folder)
    assert NEGATIVE not in accepted
    assert "called negative but has 1 annotations" in refused[f"sig-train-neg/{NEGATIVE}.jpeg"]
    xml(folder / "sig-train-neg" / f"{NEGATIVE}.xml")
    assert NEGATIVE in read(folder)[0]


def test_a_file_without_an_image_is_refused(folder):
    xml(folder / "sig-train-pos" / "gone.xml", (1, 2, 3, 4))
    assert read(folder)[1] == {"sig-train-pos/gone.xml": "there is no image beside it."}


def test_one_class_can_be_chosen(folder):
    xml(folder / "sig-train-pos" / f"{POSITIVE}.xml", (1, 2, 3, 4), name="other")
    with pytest.raises(WrongUseError, match="no object is called 'ring_cell_cancer'"):
        read(folder, class_names=("ring_cell_cancer",))
    assert len(read(folder, class_names=("other",))[0][POSITIVE].annotations) == 1


def test_a_folder_without_any_role_says_what_is_expected(tmp_path):
    picture(tmp_path / "images" / "a.png")
    with pytest.raises(InputError, match="sig-train-pos"):
        read(tmp_path)
