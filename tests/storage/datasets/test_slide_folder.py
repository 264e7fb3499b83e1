import os
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from models.annotations import Role
from models.errors import InputError, WrongUseError
from models.geometry.tiles import Window
from storage.datasets.protocol import KnownWindow, RefusedItem, SourceItem
from storage.datasets.slide_folder import SlideFolderReader


def pixels(side=96):
    return np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)


def slide(path, mpp=0.25, pixels=pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    per_cm = 1e4 / mpp
    how: dict[str, Any] = {"tile": (64, 64), "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as file:
        where: dict[str, Any] = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
        file.write(pixels(), subifds=1, **where, **how)
        file.write(pixels()[::2, ::2], subfiletype=1, **how)


def read(path, role=Role.NEGATIVE, **options):
    found = list(SlideFolderReader(path, role, **options).items())
    accepted = [one for one in found if isinstance(one, SourceItem)]
    return accepted, {one.name: one.reason for one in found if isinstance(one, RefusedItem)}


def test_slides_and_images_of_a_folder_and_below_are_read(tmp_path):
    slide(tmp_path / "b.tiff")
    slide(tmp_path / "deeper" / "c.tif", mpp=0.5)
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    (tmp_path / "README.md").write_text("not a slide")
    (tmp_path / ".hidden.png").write_text("not an image")
    accepted, refused = read(tmp_path)
    assert refused == {}
    assert [(one.name, one.path.name) for one in accepted] == [
        ("a", "a.png"), ("b", "b.tiff"), ("c", "c.tif"),
    ]  # fmt: skip
    assert [one.mpp for one in accepted] == [None, pytest.approx(0.25), pytest.approx(0.5)]
    assert {(one.width, one.height) for one in accepted} == {(96, 96)}
    image, *slides = accepted
    assert all(one.windows == () and one.rest is Role.NEGATIVE for one in slides)
    assert image.windows == (KnownWindow(Window(0, 0, 96, 96), Role.NEGATIVE),)
    assert image.rest is None


def test_negative_tissue_has_truth_that_is_empty(tmp_path):
    slide(tmp_path / "a.tiff")
    assert len(read(tmp_path, Role.NEGATIVE)[0][0].truth) == 0
    assert read(tmp_path, Role.UNLABELLED)[0][0].truth is None


def test_one_file_can_be_read(tmp_path):
    slide(tmp_path / "a.tiff")
    slide(tmp_path / "b.tiff")
    assert [one.name for one in read(tmp_path / "b.tiff")[0]] == ["b"]


def test_slides_of_one_stem_get_longer_names(tmp_path):
    slide(tmp_path / "one" / "x.tiff")
    slide(tmp_path / "two" / "x.tiff")
    assert [one.name for one in read(tmp_path)[0]] == ["one_x", "two_x"]


def test_a_pixel_size_that_no_microscope_gives_needs_to_be_given(tmp_path):
    slide(tmp_path / "a.tiff", mpp=352.8)
    accepted, refused = read(tmp_path)
    assert accepted == []
    assert refused["a.tiff"].startswith("the file claims 352.8 micrometres per pixel")
    assert "--mpp" in refused["a.tiff"]
    assert read(tmp_path, mpp=0.5)[0][0].mpp == 0.5


def test_a_damaged_file_is_refused_and_the_others_stay(tmp_path):
    slide(tmp_path / "a.tiff")
    slide(tmp_path / "b.tiff")
    Image.fromarray(pixels()).save(tmp_path / "c.png")
    (tmp_path / "b.tiff").write_bytes((tmp_path / "b.tiff").read_bytes()[:5000])
    (tmp_path / "c.png").write_bytes((tmp_path / "c.png").read_bytes()[:5000])
    accepted, refused = read(tmp_path)
    assert [one.name for one in accepted] == ["a"]
    assert sorted(refused) == ["b.tiff", "c.png"]


def test_of_a_large_image_only_the_tissue_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr("storage.datasets.slide_folder.WHOLE_PX", 96 * 96 - 1)
    Image.fromarray(pixels()).save(tmp_path / "a.png")
    (one,), _ = read(tmp_path)
    assert (one.windows, one.rest) == ((), Role.NEGATIVE)


@pytest.mark.parametrize(("grey", "reason"), [(250, "no stained tissue"), (30, "fluorescence")])
def test_a_slide_of_which_extraction_would_take_nothing_is_refused_at_once(tmp_path, grey, reason):
    slide(tmp_path / "a.tiff", pixels=lambda: np.full((96, 96, 3), grey, np.uint8))
    slide(tmp_path / "b.tiff")
    accepted, refused = read(tmp_path)
    assert [one.name for one in accepted] == ["b"]
    assert reason in refused["a.tiff"]


def test_images_of_formats_that_are_not_read_are_refused_by_name(tmp_path):
    slide(tmp_path / "a.tiff")
    for name in ("b.gif", "c.czi"):
        (tmp_path / name).write_bytes(b"GIF89a")
    accepted, refused = read(tmp_path)
    assert [one.name for one in accepted] == ["a"]
    assert "that end in .gif are not read" in refused["b.gif"]
    assert "that end in .czi are not read" in refused["c.czi"]


def test_a_pipe_or_a_folder_with_the_name_of_an_image_does_not_stop_it(tmp_path):
    slide(tmp_path / "a.tiff")
    os.mkfifo(tmp_path / "b.png")
    os.mkfifo(tmp_path / "c.tiff")
    (tmp_path / "d.png").mkdir()
    (tmp_path / "e.png").symlink_to("/dev/zero")
    accepted, refused = read(tmp_path)
    assert [one.name for one in accepted] == ["a"]
    assert sorted(refused) == ["b.png", "c.tiff", "e.png"]
    assert "no file" in refused["b.png"]


def test_positive_slides_need_annotations(tmp_path):
    with pytest.raises(WrongUseError, match="needs annotated cells"):
        read(tmp_path, Role.POSITIVE)


def test_a_given_pixel_size_that_cannot_be_is_wrong_use(tmp_path):
    slide(tmp_path / "a.tiff")
    with pytest.raises(WrongUseError, match="none of a microscope"):
        read(tmp_path, mpp=352.8)


def test_a_path_without_slides_says_what_is_read(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match=r"no slides or images there.*\.svs"):
        read(tmp_path)
