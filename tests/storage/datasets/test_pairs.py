import pytest

from storage.datasets.pairs import pairs


def test_an_image_is_found_by_the_stem_it_shares():
    found = pairs({"A/1.xml": "", "A/2.xml": ""}, ["I/1.jpg", "I/2.jpg"])
    assert found.image_of == {"A/1.xml": "I/1.jpg", "A/2.xml": "I/2.jpg"}
    assert (found.wrong, found.alone) == ({}, ())


@pytest.mark.parametrize(
    "name", ["b.png", "C:\\data\\b.png", "/abs/b.png", "../../b.png", "b", "sub/b.png"]
)
def test_an_image_is_found_by_the_last_part_of_the_name_in_the_file(name):
    assert pairs({"1.xml": name}, ["a.png", "b.png"]).image_of == {"1.xml": "b.png"}


@pytest.mark.parametrize("name", ["gone.png", "/etc/passwd", "..", "\x00", "a" * 5000])
def test_a_name_that_is_no_image_gives_way_to_the_stem(name):
    assert pairs({"1.xml": name}, ["1.png", "2.png"]).image_of == {"1.xml": "1.png"}


def test_a_stem_and_a_name_that_contradict_each_other_are_for_a_person_to_decide():
    files = {"1.xml": "2.png"}, ["1.png", "2.png"]
    assert "it names 2.png, but 1.png has its own stem" in pairs(*files).wrong["1.xml"]
    assert pairs(*files, by="stem").image_of == {"1.xml": "1.png"}
    assert pairs(*files, by="name").image_of == {"1.xml": "2.png"}


def test_a_file_without_an_image_says_what_it_looked_for():
    assert "no image 1.* for it" in pairs({"1.xml": ""}, ["2.png"]).wrong["1.xml"]
    assert "no image 1.* or '3.png' for it" in pairs({"1.xml": "3.png"}, ["2.png"]).wrong["1.xml"]


def test_two_files_about_one_image_are_both_refused():
    found = pairs({"1.xml": "", "old/1.xml": "", "2.xml": ""}, ["1.png", "2.png"])
    assert found.image_of == {"2.xml": "2.png"}
    assert "old/1.xml is about the same image 1.png" in found.wrong["1.xml"]
    assert "1.xml is about the same image 1.png" in found.wrong["old/1.xml"]
    assert found.alone == ()


def test_of_images_of_one_name_the_one_in_the_most_similar_folder_counts():
    images = ["JPEGImages/train/1.png", "JPEGImages/val/1.png"]
    found = pairs({"Annotations/train/1.xml": "1.png", "Annotations/val/1.xml": "1.png"}, images)
    assert list(found.image_of.values()) == images


def test_the_name_decides_between_images_of_one_stem():
    images = ["JPEGImages/1.jpg", "SegmentationClass/1.png"]
    found = pairs({"Annotations/1.xml": "1.jpg"}, images)
    assert found.image_of == {"Annotations/1.xml": "JPEGImages/1.jpg"}
    assert found.alone == ()


def test_images_that_could_both_be_meant_are_named():
    reason = pairs({"A/1.xml": "1.png"}, ["b/1.png", "c/1.png"]).wrong["A/1.xml"]
    assert "b/1.png and c/1.png could both be its image" in reason


def test_images_without_a_file_are_alone_only_where_others_have_one():
    found = pairs({"A/1.xml": ""}, ["I/1.png", "I/2.png", "thumbnails/9.png"])
    assert found.alone == ("I/2.png",)
