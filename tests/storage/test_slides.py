"""Slides of all kinds are read alike, or refused with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from models.errors import SlideError, WrongUseError
from models.geometry.tiles import Window
from storage.datasets.synthetic.slides import write_svs
from storage.images import ImageDecoder
from storage.slides import open_slide
from storage.tiled_slides import mpp_of, open_tiled


@pytest.fixture(scope="module")
def smooth():
    """A picture (700, 900) whose red rises with x and whose green rises with y."""
    image = np.full((700, 900, 3), 128, np.uint8)
    image[..., 0] = (np.arange(900) / 4).astype(np.uint8)
    image[..., 1] = (np.arange(700) / 4).astype(np.uint8)[:, None]
    return image


@pytest.fixture(scope="module")
def svs(smooth, tmp_path_factory):
    path = tmp_path_factory.mktemp("slides") / "a.svs"
    write_svs(path, smooth)
    return path


@pytest.fixture(scope="module")
def png(smooth, tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "a.png"
    Image.fromarray(smooth).save(path)
    return path


@pytest.fixture(params=["svs", "png"])
def slide(request, svs, png):
    """The same picture as a pyramid and as an image: one contract for both."""
    with open_slide(svs if request.param == "svs" else png) as one:
        yield one


def test_a_slide_knows_its_size(slide):
    assert (slide.width, slide.height, slide.level_downsamples[0]) == (900, 700, 1.0)


def test_a_slide_has_its_pixel_size_and_an_image_has_none(svs, png):
    with open_slide(svs) as slide, open_slide(png) as image:
        assert (slide.mpp, image.mpp) == (0.25, None)
        assert len(slide.level_downsamples) == 4


def test_a_given_pixel_size_wins(svs, png):
    with open_slide(svs, 0.5) as slide, open_slide(png, 0.5) as image:
        assert (slide.mpp, image.mpp) == (0.5, 0.5)


def test_a_window_is_read_where_it_lies(slide, smooth):
    window = Window(301, 207, 501, 357)
    image = slide.read(window, 1)
    wanted = smooth[207:357, 301:501].astype(int)
    assert image.shape == (150, 200, 3)
    assert np.abs(image - wanted).max() <= 4


@pytest.mark.parametrize("downsample", [1.5, 2, 3.3, 4, 7])
def test_a_coarser_window_shows_the_same_place(slide, downsample):
    image = slide.read(Window(200, 100, 620, 520), downsample).astype(float)
    side = round(420 / downsample)
    assert image.shape == (side, side, 3)
    middles = (np.arange(side) + 0.5) * 420 / side
    # Half a working pixel may be lost to the nearest pixel of a level, 1.7 to the jpeg.
    assert np.abs(image[..., 0].mean(0) - (200 + middles) / 4).max() < downsample / 8 + 1.7
    assert np.abs(image[..., 1].mean(1) - (100 + middles) / 4).max() < downsample / 8 + 1.7


def test_what_lies_outside_the_slide_is_white(slide):
    image = slide.read(Window(-20, -10, 60, 30), 1)
    assert (image[:10] == 255).all()
    assert (image[:, :20] == 255).all()
    assert (image[10:, 20:, 2] < 200).all()
    assert (slide.read(Window(2000, 2000, 2100, 2100), 1) == 255).all()


def test_coarser_pixels_are_means_and_not_samples(tmp_path):
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        assert (slide.read(Window(0, 0, 128, 128), 4) == 100).all()


def test_the_overview_fits_and_tells_its_scale(slide):
    image, downsample = slide.overview(90)
    assert (image.shape, downsample) == ((70, 90, 3), 10.0)
    image, downsample = slide.overview(5000)
    assert (image.shape, downsample) == ((700, 900, 3), 1.0)


def test_large_windows_are_read_in_blocks_without_seams(svs, monkeypatch):
    with open_tiled(svs, None) as slide:
        whole = slide.read(Window(0, 0, 900, 700), 3)
        monkeypatch.setattr("storage.pyramids.BLOCK_PX", 150)
        pieces = slide.read(Window(0, 0, 900, 700), 3)
    assert np.abs(whole.astype(int) - pieces).max() <= 2


def test_an_aligned_read_of_a_level_is_that_level(svs):
    with open_slide(svs) as slide, tifffile.TiffFile(svs) as file:
        level = file.series[0].levels[2].asarray()
        assert (slide.read(Window(0, 0, 900, 700), 4)[:175, :225] == level.squeeze()).all()


def tiff(path, image, mpp=0.25, **chosen):
    """Write an image and one of half its size, which makes it a slide."""
    how: dict[str, Any] = {"photometric": "rgb", "tile": (64, 64), "metadata": None, **chosen}
    per_cm = 1e4 / mpp
    where: dict[str, Any] = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    half = image[:, ::2, ::2] if "planarconfig" in chosen else image[::2, ::2]
    with tifffile.TiffWriter(path) as file:
        file.write(image, subifds=1, **where, **how)
        file.write(np.ascontiguousarray(half), subfiletype=1, **how)
    return path


RGB = np.full((256, 256, 3), 200, np.uint8)


def test_the_pixel_size_of_a_72_dpi_tag_is_refused_with_the_option_to_give(tmp_path):
    path = tiff(tmp_path / "a.tiff", RGB, mpp=352.8)
    with pytest.raises(SlideError, match=r"a\.tiff: .*352\.8 micrometres.*--mpp"):
        open_slide(path)
    with open_slide(path, 0.25) as slide:
        assert slide.mpp == 0.25
        assert len(slide.level_downsamples) == 2


def test_a_tiff_without_levels_is_an_image_and_needs_no_pixel_size(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (128, 100, 3), np.uint8)
    for name, mpp in (("dpi", 352.8), ("mpp", 0.5)):
        path, per_cm = tmp_path / f"{name}.tiff", 1e4 / mpp
        tifffile.imwrite(path, image, photometric="rgb", resolution=(per_cm, per_cm),
                         resolutionunit="CENTIMETER")  # fmt: skip
    with open_slide(tmp_path / "dpi.tiff") as slide:
        assert slide.mpp is None
        assert (slide.read(Window(0, 0, 100, 128), 1) == image).all()
    with open_slide(tmp_path / "mpp.tiff") as slide:
        assert slide.mpp == pytest.approx(0.5)


def test_a_slide_without_a_pixel_size_is_refused():
    with pytest.raises(SlideError, match=r"no pixel size.*--mpp"):
        mpp_of({})
    with pytest.raises(SlideError, match=r"0\.25 micrometres wide and 0\.5 high"):
        mpp_of({"tiffslide.mpp-x": 0.25, "tiffslide.mpp-y": 0.5})


def test_a_given_pixel_size_must_be_believable(svs):
    with pytest.raises(WrongUseError, match="352"):
        open_slide(svs, 352.8)


@pytest.mark.parametrize(
    ("image", "how", "reason"),
    [
        (RGB.astype(np.uint16), {}, "uint16, expected uint8"),
        (RGB[..., 0], {"photometric": "minisblack"}, "MINISBLACK"),
        (np.dstack([RGB, RGB[..., :1]]), {"photometric": "separated"}, "SEPARATED"),
        (np.moveaxis(RGB, 2, 0), {"planarconfig": "separate"}, "planes"),
        (RGB, {"extratags": [(274, 3, 1, 6, True)]}, "orientation tag"),
        (RGB, {"photometric": "ycbcr"}, "YCBCR"),
    ],
)
def test_colours_that_would_come_out_wrong_are_refused(tmp_path, image, how, reason):
    path = tiff(tmp_path / "a.tiff", np.ascontiguousarray(image), **how)
    with pytest.raises(SlideError, match=reason):
        open_slide(path, 0.25)


def test_a_slide_of_a_few_pixels_is_refused(tmp_path):
    path = tiff(tmp_path / "a.tiff", RGB[:48, :48])
    with pytest.raises(SlideError, match="48 x 48 px"):
        open_slide(path, 0.25)


@pytest.mark.parametrize("content", [b"", b"# a text", b"II*\0\x08\0\0\0"])
def test_a_file_that_is_no_slide_is_refused(tmp_path, content):
    path = tmp_path / "a.svs"
    path.write_bytes(content)
    with pytest.raises(SlideError, match=r"a\.svs"):
        open_slide(path)


def test_a_missing_slide_is_named(tmp_path):
    with pytest.raises(SlideError, match="there is no such file"):
        open_slide(tmp_path / "a.svs")


def test_a_damaged_tile_is_an_error_and_not_a_black_square(svs, tmp_path):
    broken = tmp_path / "broken.svs"
    data = bytearray(svs.read_bytes())
    with tifffile.TiffFile(svs) as file:
        page = file.pages[0]
        start, length = page.dataoffsets[-1], page.databytecounts[-1]
    data[start : start + length] = bytes(length)
    broken.write_bytes(bytes(data))
    with open_slide(broken) as slide, pytest.raises(SlideError, match="level 0 is damaged"):
        slide.read(Window(880, 680, 900, 700), 1)


def test_many_images_share_one_decoder(png):
    with ImageDecoder() as decoder:
        for _ in range(2):
            with open_slide(png, decoder=decoder) as slide:
                assert slide.width == 900
        assert decoder._process._child is not None
