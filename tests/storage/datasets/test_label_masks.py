import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.ndimage import find_objects

from models.annotations import Role
from models.errors import AnnotationError, InputError, WrongUseError
from models.geometry.rings import ring_area
from storage.datasets.label_masks import LabelMaskReader, MaskOptions, labelled_cells
from storage.datasets.protocol import RefusedItem, SourceItem

WIDTH, HEIGHT = 40, 30


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(noise).save(path)


def labels(path, *boxes, dtype=np.uint16, shape=(HEIGHT, WIDTH)):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros(shape, dtype)
    for number, (x0, y0, x1, y1) in enumerate(boxes, start=1):
        values[y0:y1, x0:x1] = number
    Image.fromarray(values).save(path)


def mask(path, box):
    labels(path, box, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Return a dataset of one image with two cells."""
    folder = tmp_path / "data"
    picture(folder / "images" / "a.png")
    labels(folder / "labels" / "a.png", (1, 2, 11, 22), (20, 5, 40, 30))
    return folder


def read(folder, **options):
    found = list(LabelMaskReader(folder, MaskOptions(**options)).items())
    accepted = [one for one in found if isinstance(one, SourceItem)]
    return accepted, {one.name: one.reason for one in found if isinstance(one, RefusedItem)}


def test_cells_have_tight_boxes_and_outlines_along_their_pixels(folder):
    [item], refused = read(folder, mpp=0.5)
    assert refused == {}
    assert (item.name, item.width, item.height, item.mpp) == ("a", WIDTH, HEIGHT, 0.5)
    assert item.annotations.ids.tolist() == ["a#1", "a#2"]
    assert item.annotations.boxes.tolist() == [[1, 2, 11, 22], [20, 5, 40, 30]]
    assert [ring_area(ring) for ring in item.annotations.polygons] == [200, 500]
    assert item.windows[0].role is Role.POSITIVE


def test_all_cells_are_drawn_unless_the_user_says_otherwise(folder):
    assert read(folder)[0][0].truth.ids.tolist() == ["a#1", "a#2"]
    assert read(folder, complete=False)[0][0].truth is None


def test_a_mask_for_each_cell_is_called_after_its_file(tmp_path):
    picture(tmp_path / "x" / "images" / "x.png")
    mask(tmp_path / "x" / "masks" / "one.png", (1, 2, 11, 22))
    mask(tmp_path / "x" / "masks" / "two.png", (5, 3, 12, 9))  # over the other
    [item], refused = read(tmp_path)
    assert refused == {}
    assert item.annotations.ids.tolist() == ["x#one", "x#two"]
    assert item.annotations.boxes.tolist() == [[1, 2, 11, 22], [5, 3, 12, 9]]
    assert len(item.truth) == 2


def test_a_mask_that_cannot_be_read_is_refused_and_the_truth_is_not_complete(tmp_path):
    picture(tmp_path / "x" / "images" / "x.png")
    mask(tmp_path / "x" / "masks" / "one.png", (1, 2, 11, 22))
    mask(tmp_path / "x" / "masks" / "empty.png", (0, 0, 0, 0))
    labels(tmp_path / "x" / "masks" / "size.png", (0, 0, 2, 2), shape=(8, 8))
    (tmp_path / "x" / "masks" / "text.png").write_text("text")
    [item], refused = read(tmp_path)
    assert item.annotations.ids.tolist() == ["x#one"]
    assert item.truth is None
    assert list(refused) == ["x: empty.png", "x: size.png", "x: text.png"]
    assert refused["x: empty.png"] == "it is empty."
    assert refused["x: size.png"] == "it has 8 x 8 px, its image 40 x 30."


@pytest.mark.parametrize("how", ["size", "text", "coloured"])
def test_labels_that_cannot_be_read_refuse_their_image(folder, how):
    path = folder / "labels" / "a.png"
    if how == "size":
        labels(path, (0, 0, 2, 2), shape=(8, 8))
    elif how == "text":
        path.write_text("text")
    else:
        picture(path)
    accepted, refused = read(folder)
    assert accepted == []
    reasons = {"size": "it has 8 x 8 px", "text": "it is no PNG", "coloured": "it is coloured"}
    assert refused["images/a.png"].startswith(f"labels/a.png: {reasons[how]}")


def test_an_image_without_cells_is_complete_and_empty(folder):
    labels(folder / "labels" / "a.png")
    [item], _ = read(folder)
    assert (len(item.annotations), len(item.truth)) == (0, 0)
    assert item.windows[0].role is Role.POSITIVE


def test_an_image_without_labels_is_refused_unless_it_is_called_unlabelled(folder):
    picture(folder / "images" / "b.png")
    assert "there are no labels for it" in read(folder)[1]["images/b.png"]
    _, item = read(folder, without_labels="unlabelled")[0]
    assert (item.windows[0].role, item.truth) == (Role.UNLABELLED, None)
    (folder / "images" / "b.png").write_text("no image")
    assert "images/b.png" in read(folder, without_labels="unlabelled")[1]


def test_labels_without_an_image_are_refused(folder):
    labels(folder / "labels" / "gone.png", (1, 1, 5, 5))
    assert read(folder)[1] == {"labels/gone.png": "there is no image gone.* for it."}


def test_large_values_are_cells_too(folder):
    values = np.zeros((HEIGHT, WIDTH), np.int32)
    values[2:5, 3:9], values[8:9, 3:4] = 2**24 - 1, 70_000
    Image.fromarray(values).save(folder / "labels" / "a.tif")
    (folder / "labels" / "a.png").unlink()
    [item], _ = read(folder)
    assert item.annotations.ids.tolist() == ["a#70000", "a#16777215"]
    assert item.annotations.boxes.tolist() == [[3, 8, 4, 9], [3, 2, 9, 5]]


def test_pieces_and_holes_are_counted():
    values = np.zeros((20, 20), np.int32)
    values[1:9, 1:9], values[4, 4], values[15, 15], values[12:15, 2:5] = 1, 0, 1, 2
    found = labelled_cells("a", values)
    assert list(found.noticed.values()) == [1, 1]
    assert found.annotations.boxes[0].tolist() == [1, 1, 16, 16]
    assert ring_area(found.annotations.polygons[0]) == 64


def test_one_value_for_all_cells_is_no_label_image():
    values = np.zeros((20, 20), np.int32)
    values[1:9, 1:9], values[12:18, 2:15] = 255, 255
    with pytest.raises(AnnotationError, match="its 1 values lie in 2 separate pieces"):
        labelled_cells("a", values)
    values[12:18, 2:15] = 0
    values[19, 19] = 255  # a speck
    assert len(labelled_cells("a", values).annotations) == 1


def test_a_picture_is_no_label_image():
    picture = np.random.default_rng(0).integers(0, 255, (60, 60)).astype(np.int32)
    with pytest.raises(AnnotationError, match="are they classes"):
        labelled_cells("a", picture)


def test_too_many_values_are_no_label_image(monkeypatch):
    monkeypatch.setattr("storage.datasets.label_masks.MAXIMUM_CELLS", 3)
    with pytest.raises(AnnotationError, match="it has 5 values, at most 3 are read"):
        labelled_cells("a", np.arange(6, dtype=np.int32).reshape(2, 3))


@settings(deadline=None)
@given(
    arrays(np.int32, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.integers(0, 3)),
    st.sampled_from([1, 1000, 1_000_000]),
)
def test_boxes_are_those_of_the_pixels_of_each_value(values, scale):
    try:
        found = labelled_cells("a", values * scale).annotations
    except AnnotationError as error:
        assert "are they classes" in str(error)  # noqa: PT017  # either way is right
        return
    expected = {
        f"a#{number * scale}": [columns.start, rows.start, columns.stop, rows.stop]
        for number, place in enumerate(find_objects(values), start=1) if place
        for rows, columns in [place]
    }  # fmt: skip
    assert dict(zip(found.ids.tolist(), found.boxes.tolist(), strict=True)) == expected


def test_a_folder_without_labels_says_what_is_expected(tmp_path):
    picture(tmp_path / "images" / "a.png")
    with pytest.raises(InputError, match="Expected folders images and labels"):
        read(tmp_path)


def test_a_pixel_size_that_no_microscope_gives_is_wrong_use(folder):
    with pytest.raises(WrongUseError, match="none of a microscope"):
        read(folder, mpp=352.8)
