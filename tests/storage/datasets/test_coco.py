import json
import math
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from models.annotations import Role
from models.errors import AnnotationError, InputError, WrongUseError
from storage.datasets import coco_document, coco_shapes, json_lists
from storage.datasets.coco import CocoReader
from storage.datasets.protocol import RefusedItem, SourceItem

WIDTH, HEIGHT = 40, 30


def picture(path, size=(WIDTH, HEIGHT)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(path)


def image(key=1, file_name="a.png", **values):
    return {"id": key, "file_name": file_name, "width": WIDTH, "height": HEIGHT, **values}


def cell(key=1, bbox=(1, 2, 10, 20), image_id=1, **values):
    return {"id": key, "image_id": image_id, "category_id": 1, "bbox": list(bbox), **values}


@pytest.fixture
def dataset(tmp_path):
    """Return a function that writes a dataset with the image a.png, and gives its folder."""
    folder = tmp_path / "dataset"
    picture(folder / "a.png")

    def write(images=None, annotations=(), categories=({"id": 1, "name": "cell"},), **values):
        content = {
            "images": [image()] if images is None else images,
            "annotations": list(annotations),
            "categories": list(categories),
            **values,
        }
        (folder / "annotations.json").write_text(json.dumps(content))
        return folder

    return write


def read(folder, **options):
    found = list(CocoReader(folder, **options).items())
    accepted = [one for one in found if isinstance(one, SourceItem)]
    return accepted, {one.name: one.reason for one in found if isinstance(one, RefusedItem)}


def one_image(folder, **options):
    accepted, refused = read(folder, **options)
    assert refused == {}
    [item] = accepted
    return item


def why_refused(folder, **options):
    accepted, refused = read(folder, **options)
    assert accepted == []
    [reason] = refused.values()
    return reason


def test_a_cell_that_was_exported_under_a_number_comes_back_under_its_own_name(dataset):
    named = [(1, "mark-1"), (2, ""), (3, "mark-1"), (4, 7), (5, "\ud800"), (6, "7"), (7, "")]
    folder = dataset(annotations=[cell(key, annotation_id=own) for key, own in named])
    # Once: regions that overlap hold a cell twice. What is no text, or a number, names nothing.
    assert one_image(folder).annotations.ids.tolist() == [
        "mark-1", "2", "3", "4", "5", "6", "7",
    ]  # fmt: skip


def test_an_image_comes_with_its_boxes_and_outlines(dataset):
    small, large = [0, 0, 2, 0, 2, 2], [1, 2, 11, 2, 11, 22, 1, 22]
    folder = dataset(annotations=[cell(7, segmentation=[small, large]), cell("x", (0, 0, 40, 30))])
    item = one_image(folder)
    assert (item.name, item.path) == ("a", folder / "a.png")
    assert (item.width, item.height, item.mpp) == (WIDTH, HEIGHT, None)
    assert [(w.window.width, w.window.height, w.role) for w in item.windows] == [
        (WIDTH, HEIGHT, Role.POSITIVE)
    ]
    assert list(item.annotations.ids) == ["7", "x"]
    assert item.annotations.boxes.tolist() == [[1, 2, 11, 22], [0, 0, 40, 30]]
    assert item.annotations.polygons[0].tolist() == [[1, 2], [11, 2], [11, 22], [1, 22]]
    assert len(item.annotations.polygons[1]) == 0
    assert item.truth is None
    assert item.attributes == {"slide": "a"}


def test_what_groups_images_is_read(dataset):
    values = {"slide": "s", "case": "c", "organ": "liver", "site": 3, "mpp": 0.25}
    item = one_image(dataset([image(**values)]))
    assert item.attributes == {"slide": "s", "patient": "c", "organ": "liver", "site": "3"}
    assert item.mpp == 0.25


def test_a_patient_goes_before_a_case(dataset):
    item = one_image(dataset([image(patient=12, case="c")]))
    assert item.attributes["patient"] == "12"


def test_the_given_pixel_size_is_for_images_without_one(dataset):
    folder = dataset([image(mpp=0.5), image(2, "b.png", mpp=None)])
    picture(folder / "b.png")
    accepted, _ = read(folder, mpp=0.25)
    assert [one.mpp for one in accepted] == [0.5, 0.25]


@pytest.mark.parametrize("mpp", [352.8, 0, -1, math.nan, "0.25", True, 10**400])
def test_a_pixel_size_that_no_microscope_gives_is_refused(dataset, mpp):
    assert "which no microscope gives" in why_refused(dataset([image(mpp=mpp)]))


def test_complete_images_have_their_annotations_as_truth(dataset):
    item = one_image(dataset([image(complete=True)], [cell()]))
    assert list(item.truth.ids) == ["1"]


def test_an_image_that_lost_a_record_is_complete_no_longer(dataset):
    accepted, refused = read(dataset([image(complete=True)], [cell(), cell(2, (0, 0, 0, 5))]))
    assert list(refused) == ["a.png: annotation 2"]
    assert accepted[0].truth is None


def test_a_negative_image_has_truth_that_is_empty(dataset):
    item = one_image(dataset([image(role="negative")]))
    assert item.windows[0].role is Role.NEGATIVE
    assert len(item.truth) == 0


def test_the_role_of_an_image_goes_before_the_given_one(dataset):
    folder = dataset([image(role="positive"), image(2, "b.png")])
    picture(folder / "b.png")
    accepted, _ = read(folder, role=Role.UNLABELLED)
    assert [one.windows[0].role for one in accepted] == [Role.POSITIVE, Role.UNLABELLED]
    assert accepted[1].truth is None


@pytest.mark.parametrize("role", ["negative", "unlabelled"])
def test_annotations_on_an_image_that_has_none_by_its_role_are_a_contradiction(dataset, role):
    reason = why_refused(dataset([image(role=role)], [cell()]))
    assert f"it is called {role} but has 1 annotations" in reason


@pytest.mark.parametrize("role", ["good", 3, ["positive"], ""])
def test_an_unknown_role_is_refused(dataset, role):
    assert "expected one of positive, negative, unlabelled" in why_refused(
        dataset([image(role=role)])
    )


def test_a_key_that_is_null_says_nothing(dataset):
    item = one_image(dataset([image(role=None, complete=None, slide=None, mpp=None)]))
    assert (item.windows[0].role, item.truth, item.mpp) == (Role.POSITIVE, None, None)
    assert item.attributes == {"slide": "a"}


def test_a_completeness_that_is_no_boolean_is_refused(dataset):
    assert "expected true or false" in why_refused(dataset([image(complete="yes")]))


def test_one_class_can_be_chosen(dataset):
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}]
    folder = dataset(None, [cell(1), cell(2, category_id=2)], categories)
    assert list(one_image(folder, class_name="white").annotations.ids) == ["2"]
    assert list(one_image(folder).annotations.ids) == ["1", "2"]
    with pytest.raises(WrongUseError, match="no category is called 'blue'; there are red, white"):
        read(folder, class_name="blue")


def test_a_filter_keeps_the_images_with_that_value(dataset):
    folder = dataset(
        [image(kind="he", good=True), image(2, "b.png", kind="ihc"), image(3, "c.png")],
        [cell(1), cell(2, image_id=2)],
    )
    assert one_image(folder, where={"kind": "he"}).name == "a"
    assert one_image(folder, where={"good": "true", "kind": "he"}).name == "a"
    with pytest.raises(WrongUseError, match=r"kind=mri leaves no image.*there: he, ihc"):
        read(folder, where={"kind": "mri"})
    with pytest.raises(WrongUseError, match="Values of 'x' there: none at all"):
        read(folder, where={"x": "1"})


def test_a_filter_leaves_no_complaints_about_the_other_images(dataset):
    bad = cell(2, (0, 0, -1, 0), image_id=2)
    folder = dataset([image(kind="he"), image(2, "missing.png", kind="ihc")], [bad])
    assert read(folder, where={"kind": "he"})[1] == {}


@pytest.mark.parametrize(
    ("bbox", "reason"),
    [
        ((5, 5, 0, 4), "width 0 and height 4, expected > 0; nothing is in it"),
        ((5, 5, 4, 0), "width 4 and height 0, expected > 0"),
        ((9, 9, -4, 4), "is it x0, y0, x1, y1 by mistake"),
        ((math.nan, 1, 2, 3), "expected four finite numbers"),
        ((1, 1, math.inf, 3), "expected four finite numbers"),
        ((1, 1, 3), "expected four finite numbers"),
        (("1", 1, 3, 3), "expected four finite numbers"),
        ((10**400, 1, 3, 3), "expected four finite numbers"),
        ((38, 2, 4, 4), "reaches out of the image of 40 x 30 px by more than 1 px"),
        ((-1.5, 2, 4, 4), "reaches out of the image"),
        ((500, 500, 4, 4), "reaches out of the image"),
        ((40, 5, 1, 5), "reaches out of the image"),
    ],
)
def test_a_box_that_cannot_be_is_refused_and_the_others_stay(dataset, bbox, reason):
    accepted, refused = read(dataset(annotations=[cell(1), cell(2, bbox), cell(3)]))
    assert list(refused) == ["a.png: annotation 2"]
    assert reason in refused["a.png: annotation 2"]
    assert list(accepted[0].annotations.ids) == ["1", "3"]


def test_a_box_that_rounding_moved_out_is_cut_at_the_border(dataset):
    item = one_image(dataset(annotations=[cell(1, (-1, -0.5, 41.5, 31.4))]))
    assert item.annotations.boxes.tolist() == [[0, 0, 40, 30]]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"bbox": None}, "its bbox is None"),
        ({"segmentation": "m 1 2"}, "expected a list of polygons"),
        ({"segmentation": [[1, 2, 3, 4]]}, "at least 3 points"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "x and y of at least"),
        ({"segmentation": [[1, 2, 3, 4, 5, math.nan]]}, "x and y of at least"),
        ({"segmentation": [7]}, "x and y of at least"),
        ({"iscrowd": 1}, "outlines a crowd"),
        ({"id": None}, "its id is None"),
        ({"id": 1}, "ids of annotations must be unique"),
        ({"id": "\ud800"}, "expected a number or text"),
        ({"image_id": 99}, "its image_id 99 is no image of the file"),
        ({"image_id": [1]}, r"its image_id is [1]"),
        ({"category_id": 5}, "its category_id 5 is no category"),
        ({"category_id": True}, "its category_id is True"),
    ],
)
def test_a_record_of_the_wrong_form_is_refused_and_the_others_stay(dataset, values, reason):
    accepted, refused = read(dataset(annotations=[cell(1), {**cell(2), **values}]))
    assert len(refused) == 1
    assert reason in next(iter(refused.values()))
    assert list(accepted[0].annotations.ids) == ["1"]


def test_a_record_that_is_no_object_is_refused(dataset):
    assert read(dataset(annotations=["text"]))[1] == {
        "annotations[0]": "the entry is 'text', expected an object"
    }


def run_lengths(mask, how):
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    if how == "text":
        return {"size": packed["size"], "counts": packed["counts"].decode()}
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat, prepend=False))
    return {"size": packed["size"], "counts": np.diff([0, *changes, len(flat)]).tolist()}


@pytest.mark.parametrize("how", ["text", "list"])
def test_run_lengths_become_the_exact_outline(dataset, how):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[2:22, 1:11] = True
    mask[2:5, 1:4] = False
    values = {"bbox": [1, 2, 10, 20], "segmentation": run_lengths(mask, how)}
    item = one_image(dataset(annotations=[{**cell(7), **values}]))
    assert {tuple(point) for point in item.annotations.polygons[0].tolist()} == {
        (4, 2), (11, 2), (11, 22), (1, 22), (1, 5), (4, 5),
    }  # fmt: skip
    assert item.noticed == {}


def test_holes_and_pieces_that_no_ring_can_hold_are_counted(dataset):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[2:22, 1:11] = True
    mask[5, 5] = mask[28, 30] = False
    mask[28, 30] = True
    two = [[0, 0, 9, 0, 9, 9], [20, 20, 22, 20, 22, 22]]
    folder = dataset(
        annotations=[cell(1, segmentation=run_lengths(mask, "text")), cell(2, segmentation=two)]
    )
    assert list(one_image(folder).noticed.values()) == [2, 1]


def test_an_outline_that_reaches_out_is_cut_and_counted(dataset):
    item = one_image(dataset(annotations=[cell(segmentation=[[-3, 0, 9, 0, 9, 50]])]))
    assert item.annotations.polygons[0].tolist() == [[0, 0], [9, 0], [9, 30]]
    assert list(item.noticed.values()) == [1]


def test_a_score_is_noticed(dataset):
    folder = dataset(annotations=[cell(1, score=0.5), cell(2, score=None)])
    assert list(one_image(folder).noticed.values()) == [1]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"size": [3, 3], "counts": [4, 5]}, "of an image of 3 x 3 px, its own has 40 x 30"),
        ({"size": [30, 40], "counts": [4, 5]}, "make 9 pixels, the image of 40 x 30 px has 1200"),
        ({"size": [30, 40], "counts": [1200]}, "set no pixel"),
        ({"size": [30, 40], "counts": [4, -5]}, "no length"),
        ({"size": [30, 40], "counts": [4, math.inf]}, "expected a list or text of COCO"),
        ({"size": [30, 40], "counts": [4.5, 5]}, "no whole numbers"),
        ({"size": [30, 40], "counts": "\x7f"}, "no text that COCO packs"),
        ({"size": [30, 40], "counts": [0, 1] * 200_000}, "has 400000 runs, at most 200000"),
        ({"size": [30.0, 40], "counts": [4, 5]}, "the size of its mask is [30.0, 40]"),
        ({"counts": [1]}, "the size of its mask is None"),
    ],
)
def test_run_lengths_that_are_none_of_the_image_are_refused(dataset, values, reason):
    accepted, refused = read(dataset(annotations=[cell(1), cell(2, segmentation=values)]))
    assert reason in refused["a.png: annotation 2"]
    assert list(accepted[0].annotations.ids) == ["1"]


def test_an_outline_of_a_million_points_is_refused_and_the_others_stay(dataset):
    outline = [[1, 2, 3, 4] * 500_000]
    accepted, refused = read(dataset(annotations=[cell(1), cell(2, segmentation=outline)]))
    assert "1000000 points, at most 100000 are read" in refused["a.png: annotation 2"]
    assert len(accepted[0].annotations) == 1


def test_numbers_that_json_does_not_have_refuse_only_their_record(dataset):
    folder = dataset([image(mpp=math.nan), image(2, "b.png")], [cell(1, (1, 1, math.inf, 2), 2)])
    picture(folder / "b.png")
    accepted, refused = read(folder)
    assert [one.name for one in accepted] == ["b"]
    assert list(refused) == ["a.png", "b.png: annotation 1"]


def test_the_lists_may_come_in_any_order(dataset):
    folder = dataset(annotations=[cell()], categories=[{"id": 1, "name": "cell"}])
    content = json.loads((folder / "annotations.json").read_text())
    turned = dict(reversed({**content, "info": {"a": [1]}, "extra": [1, {}]}.items()))
    (folder / "annotations.json").write_text(json.dumps(turned))
    assert len(one_image(folder).annotations) == 1


def test_images_may_lie_in_a_folder_of_their_own(dataset, tmp_path):
    names = ["b/x.png", "c/x.png", "d.png"]
    for name in names:
        picture(tmp_path / "elsewhere" / name)
    # By path, and by the name in a dataset, as exported labels call them.
    entries = [image(1, "b/x.png"), image(2, "c_x"), image(3, "d"), image(4, "../secret.png")]
    entries.append(image(5, "c/x.png"))
    picture(tmp_path / "secret.png")
    accepted, refused = read(dataset(entries), images=tmp_path / "elsewhere")
    assert [one.name for one in accepted] == ["b_x", "c_x", "d"]
    assert [one.path.name for one in accepted] == ["x.png", "x.png", "d.png"]
    assert "leads out of the folder" in refused["../secret.png"]
    assert "its file x.png is that of another entry, too" in refused["c/x.png"]
    with pytest.raises(InputError, match="no such folder"):
        read(dataset(entries), images=tmp_path / "nowhere")


def test_a_size_up_to_the_last_region_is_enough_for_exported_labels(dataset):
    smaller = image(width=20, height=25, regions={"a@0,0": [0, 0, 20, 25]})
    assert one_image(dataset([smaller])).width == WIDTH
    assert "the file has" in why_refused(dataset([{**smaller, "width": 41}]))


def test_an_image_in_the_folder_images_is_found(dataset):
    folder = dataset([image(file_name="b.png")])
    picture(folder / "images" / "b.png")
    assert one_image(folder).path == folder / "images" / "b.png"


def test_a_missing_image_is_refused_and_the_others_stay(dataset):
    accepted, refused = read(dataset([image(), image(2, "gone.png")]))
    assert [one.name for one in accepted] == ["a"]
    assert "there is no file gone.png in" in refused["gone.png"]


@pytest.mark.parametrize(
    "name", ["../secret.png", "{outside}", "link.png", "images/../../secret.png"]
)
def test_an_image_outside_the_folder_is_never_read(dataset, tmp_path, name):
    secret = tmp_path / "secret.png"
    picture(secret)
    folder = dataset([image(file_name=name.format(outside=secret))])
    (folder / "link.png").symlink_to(secret)
    assert "leads out of the folder" in why_refused(folder)


def test_a_link_within_the_folder_is_followed(dataset):
    folder = dataset([image(file_name="link.png")])
    (folder / "link.png").symlink_to(folder / "a.png")
    assert one_image(folder).width == WIDTH


@pytest.mark.parametrize("name", ["x" * 5000, "loop.png"])
def test_a_path_that_leads_nowhere_is_refused(dataset, name):
    folder = dataset([image(file_name=name)])
    (folder / "loop.png").symlink_to(folder / "loop.png")
    reason = why_refused(folder)
    assert "is no path" in reason or "there is no file" in reason


def test_a_truncated_image_is_refused_and_the_others_stay(dataset):
    folder = dataset([image(), image(2, "b.png")])
    picture(folder / "b.png")
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:900])
    accepted, refused = read(folder)
    assert [one.name for one in accepted] == ["a"]
    assert refused["b.png"].startswith("it is damaged")


def test_a_file_of_another_kind_is_refused(dataset):
    folder = dataset([image(file_name="a.tiff")])
    (folder / "a.tiff").write_text("no slide")
    assert why_refused(folder).startswith("it is no PNG, JPEG, BMP or TIFF")


@pytest.mark.parametrize("stated", [{"width": 20}, {"height": None}, {"width": [40]}])
def test_an_image_of_another_size_than_stated_is_refused(dataset, stated):
    assert "the file has 40 x 30 px, its entry says" in why_refused(dataset([image(**stated)]))


def test_a_size_need_not_be_stated(dataset):
    assert one_image(dataset([{"id": 1, "file_name": "a.png"}])).height == HEIGHT


def test_images_that_share_an_id_are_both_refused(dataset):
    folder = dataset([image(), image(1, "b.png"), image(2, "c.png")], [cell()])
    picture(folder / "c.png")
    accepted, refused = read(folder)
    assert [one.name for one in accepted] == ["c"]
    assert "image id 1 is used 2 times" in refused["a.png"]
    assert "image id 1 is used 2 times" in refused["b.png"]


def test_a_file_that_is_listed_twice_is_refused(dataset):
    _, refused = read(dataset([image(), image(2, "./a.png")]))
    assert len(refused) == 2
    assert all("listed more than once" in reason for reason in refused.values())


def test_images_of_one_stem_get_longer_names(dataset):
    names = ["a.png", "one/x.png", "two/x.png", "y.png", "y.jpg"]
    folder = dataset([image(i, name) for i, name in enumerate(names)])
    for name in names:
        picture(folder / name)
    accepted, _ = read(folder)
    assert [one.name for one in accepted] == ["a", "one_x", "two_x", "y.png", "y.jpg"]
    assert [one.attributes["slide"] for one in accepted] == [one.name for one in accepted]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (5, "the entry is a number"),
        ({"file_name": "a.png"}, "its id is None"),
        ({"id": 1.5, "file_name": "a.png"}, "its id is 1.5"),
        ({"id": 1}, "its file_name is None"),
        ({"id": 1, "file_name": ""}, "expected the path of a file"),
        ({"id": 1, "file_name": "a\0.png"}, "expected the path of a file"),
        ({"id": 1, "file_name": "\udcff.png"}, "expected the path of a file"),
    ],
)
def test_an_image_entry_of_the_wrong_form_is_refused(dataset, entry, reason):
    accepted, refused = read(dataset([image(9), entry]))
    assert [one.name for one in accepted] == ["a"]
    assert reason in refused["images[1]"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ('{"images": [', "not JSON"),
        ("\x00\xff", "not JSON"),
        ('{"images": ' + "[" * 100_000, "nested too deeply"),
        ("[]", "holds a JSON list, expected an object"),
        ("{}", "'images' is missing"),
        ('{"images": {}}', "'images' is a JSON object, expected a list"),
        ('{"images": [], "annotations": 3}', "'annotations' is a JSON number"),
        ('{"images": [], "annotations": []}', "'categories' is missing"),
        ('{"images": [], "images": []}', "'images' is there twice"),
        ('{"images": [], "annotations": [], "categories": ["x"]}', "category 'x' has no id and"),
        (
            '{"images": [], "annotations": [], '
            '"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "category id 1 is used twice",
        ),
    ],
)
def test_a_file_that_is_not_coco_is_refused_as_a_whole(tmp_path, content, message):
    path = tmp_path / "annotations.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(AnnotationError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_too_large_is_not_loaded(dataset, monkeypatch):
    folder = dataset()
    monkeypatch.setattr(json_lists, "MAXIMUM_JSON_MB", 0.00001)
    with pytest.raises(AnnotationError, match="at most 1e-05 are read"):
        read(folder)


@pytest.mark.parametrize("what", ["IMAGES", "RECORDS"])
def test_a_file_of_too_many_entries_is_refused_before_it_fills_memory(dataset, monkeypatch, what):
    monkeypatch.setattr(coco_document, f"MAXIMUM_{what}", 2)
    folder = dataset([image(n) for n in range(2)], [cell(n) for n in range(2)])
    read(folder)
    folder = dataset([image(n) for n in range(3)], [cell(n) for n in range(3)])
    with pytest.raises(AnnotationError, match="more than 2 "):
        read(folder)


def test_many_annotations_take_little_memory_while_they_wait():
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    records = [coco_shapes.record_of(cell(n), n) for n in range(10_000)]
    each = (tracemalloc.get_traced_memory()[0] - before) / len(records)
    tracemalloc.stop()
    assert each * coco_document.MAXIMUM_RECORDS < 1e9


@pytest.mark.parametrize("name", ["annotations_coco.json", "annotations.json", "instances_x.json"])
def test_the_usual_names_are_found_in_a_folder(dataset, name):
    folder = dataset()
    (folder / "annotations.json").rename(folder / name)
    assert one_image(folder).name == "a"
    assert one_image(folder / name).name == "a"


def test_several_files_that_could_be_meant_are_named(dataset):
    folder = dataset()
    (folder / "annotations.json").rename(folder / "instances_train.json")
    (folder / "instances_val.json").write_text("{}")
    with pytest.raises(InputError, match=r"instances_train\.json, instances_val\.json could all"):
        read(folder)


def test_a_path_without_a_dataset_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"none of annotations_coco\.json"):
        read(tmp_path)
