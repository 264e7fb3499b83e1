import pytest

from storage.datasets.label_files import Labelled, label_files


def test_folders_of_images_and_labels_match_by_stem():
    found = label_files(["images/a.png", "images/b.png", "labels/a.tif", "labels/b.png"])
    assert found.labelled == (
        Labelled("images/a.png", "labels/a.tif", ()),
        Labelled("images/b.png", "labels/b.png", ()),
    )
    assert (found.alone, found.wrong) == ((), {})


@pytest.mark.parametrize("files", [
    ("x/Images/a.png", "x/Masks/a.png"),
    ("images/train/a.png", "labels/train/a.png"),
    ("a.png", "a_masks.png"),
    ("a_img.png", "a_cp_masks.png"),
    ("x/a.png", "x/a_label.tif"),
    ("images/a.png", "labels/a_mask.png"),
])  # fmt: skip
def test_other_arrangements_match(files):
    [one] = label_files(files).labelled
    assert one == Labelled(files[0], files[1], ())


def test_files_of_one_name_in_different_folders_are_kept_apart():
    files = [f"{kind}/{part}/a.png" for kind in ("images", "masks") for part in ("x", "y")]
    assert [one[:2] for one in label_files(files).labelled] == [
        ("images/x/a.png", "masks/x/a.png"), ("images/y/a.png", "masks/y/a.png"),
    ]  # fmt: skip


def test_a_folder_for_each_image_has_a_mask_for_each_cell():
    files = ["1/images/1.png", "1/masks/b.png", "1/masks/a.png", "2/images/2.png", "2/masks/c.png"]
    assert label_files(files).labelled == (
        Labelled("1/images/1.png", "", ("1/masks/a.png", "1/masks/b.png")),
        Labelled("2/images/2.png", "", ("2/masks/c.png",)),
    )


def test_what_has_no_partner_is_told():
    found = label_files(["images/a.png", "images/b.png", "labels/a.png", "labels/c.png"])
    assert found.alone == ("images/b.png",)
    assert found.wrong == {"labels/c.png": "there is no image c.* for it."}


def test_a_folder_of_labels_without_any_image_is_told_once():
    found = label_files(["1/images/1.png", "1/masks/a.png", "2/masks/b.png", "2/masks/c.png"])
    assert found.wrong == {"2/masks": "there is no image for the labels in it."}


def test_two_labels_of_one_image_are_both_refused_unless_one_folder_is_chosen():
    files = ["images/a.png", "labels/a.png", "masks/a.png"]
    found = label_files(files)
    assert (found.labelled, found.alone) == ((), ("images/a.png",))
    assert "--labels" in found.wrong["masks/a.png"]
    assert "--labels" in found.wrong["labels/a.png"]
    found = label_files(files, "Masks")
    assert found.labelled == (Labelled("images/a.png", "masks/a.png", ()),)
    assert (found.alone, found.wrong) == ((), {})


def test_a_folder_of_any_name_can_be_chosen():
    [one] = label_files(["images/a.png", "nuclei/a.png"], "nuclei").labelled
    assert one.labels == "nuclei/a.png"


def test_two_images_of_one_stem_are_for_a_person_to_tell_apart():
    found = label_files(["images/a.png", "images/a.jpg", "labels/a.png"])
    assert "images/a.png and images/a.jpg could both" in found.wrong["labels/a.png"]
    found = label_files(["1/images/a.png", "1/images/a.jpg", "1/masks/x.png"])
    assert list(found.wrong) == ["1/masks/x.png"]
