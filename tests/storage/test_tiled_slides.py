"""What the decoder's process reads of slides is what the file says, whatever its form."""

from __future__ import annotations

import struct
import warnings
from typing import Any

import numpy as np
import pytest
import tifffile

from models.errors import SlideError
from models.geometry.tiles import Window
from storage.slide_answers import SlideAnswers
from storage.tiff_levels import Page, TileCache
from storage.tiled_slides import DAMAGE, _same_shape, open_tiled, quiet

WHOLE = Window(0, 0, 300, 200)
HOW: dict[str, Any] = {"photometric": "rgb", "metadata": None}


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)


def saved(path, picture, tile=(64, 64), *, coarser=(150, 100), **how):
    """Write a picture as a slide with one coarser level."""
    how = {**HOW, "tile": tile, **how}
    width, height = coarser
    small = picture[:: picture.shape[0] // height, :: picture.shape[1] // width][:height, :width]
    with tifffile.TiffWriter(path) as file:
        file.write(picture, subifds=1, **how)
        file.write(np.ascontiguousarray(small), subfiletype=1, **how)
    return path


def test_every_window_of_every_level_is_the_picture(tmp_path, picture):
    with open_tiled(saved(tmp_path / "a.tiff", picture), 0.5) as slide:
        assert slide.level_sizes == ((300, 200), (150, 100))
        assert (slide.read(WHOLE, 1) == picture).all()
        assert (slide.read(Window(50, 60, 190, 130), 1) == picture[60:130, 50:190]).all()
        assert (slide.read(WHOLE, 2) == picture[::2, ::2]).all()


@pytest.mark.parametrize("how", [{"tile": None, "rowsperstrip": 7}, {"tile": None}])
def test_strips_are_read_like_tiles(tmp_path, picture, how):
    with open_tiled(saved(tmp_path / "a.tiff", picture, **how), 0.5) as slide:
        assert (slide.read(Window(3, 5, 299, 199), 1) == picture[5:199, 3:299]).all()


def test_a_level_that_is_a_single_tile_is_decoded_once(tmp_path, picture, monkeypatch):
    decoded = []
    decode = Page._decoded

    def counted(self, index):
        decoded.append(index)
        return decode(self, index)

    monkeypatch.setattr(Page, "_decoded", counted)
    with open_tiled(saved(tmp_path / "a.tiff", picture, tile=(208, 304)), 0.5) as slide:
        for x in range(0, 300, 20):
            part = Window(x, 0, x + 20, 200)
            assert (slide.read(part, 1) == picture[:, x : x + 20]).all()
    assert decoded == [0]


def test_decoded_tiles_are_kept_within_bounds(monkeypatch):
    monkeypatch.setattr("storage.tiff_levels.CACHE_BYTES", 250)
    cache, decoded = TileCache(), []

    def decode(index):
        decoded.append(index)
        return np.zeros(100, np.uint8)

    for index in (0, 1, 0, 2, 0, 1):
        cache.get(7, index, decode)
    assert decoded == [0, 1, 2, 1]  # the third tile pushed out the one that was used least lately
    cache.get(8, 0, lambda _: np.zeros(1000, np.uint8))  # kept alone, though it is larger
    assert len(cache.get(8, 0, decode)) == 1000
    cache.get(7, 0, decode)
    assert decoded == [0, 1, 2, 1, 0]


def test_a_tile_larger_than_the_limit_is_refused(tmp_path, picture, monkeypatch):
    monkeypatch.setattr("storage.tiff_levels.TILE_BYTES", 64 * 64 * 3 - 1)
    with pytest.raises(SlideError, match="300 x 200 px has tiles of 64 x 64 px, at most"):
        open_tiled(saved(tmp_path / "a.tiff", picture), 0.5)


def test_what_a_scanner_left_out_is_white_and_not_black(tmp_path, picture):
    def tiles(image):
        for y in range(0, image.shape[0], 64):
            for x in range(0, image.shape[1], 64):
                tile = np.zeros((64, 64, 3), np.uint8)
                part = image[y : y + 64, x : x + 64]
                tile[: part.shape[0], : part.shape[1]] = part
                yield None if (y, x) == (64, 128) else tile

    how = {**HOW, "tile": (64, 64), "dtype": np.uint8}
    with tifffile.TiffWriter(tmp_path / "a.tiff") as file:
        file.write(tiles(picture), shape=picture.shape, subifds=1, **how)
        file.write(tiles(picture[::2, ::2]), shape=(100, 150, 3), subfiletype=1, **how)
    expected = picture.copy()
    expected[64:128, 128:192] = 255
    with open_tiled(tmp_path / "a.tiff", 0.5) as slide:
        assert (slide.read(WHOLE, 1) == expected).all()


@pytest.mark.parametrize(("kind", "expected"), [("unassalpha", 205), ("assocalpha", 255)])
def test_alpha_is_laid_over_white(tmp_path, kind, expected):
    """Half a pixel of 155 is 205 over white; 155 that is already halved leaves 255."""
    picture = np.full((200, 300, 4), 155, np.uint8)
    picture[..., 3] = 128
    path = saved(tmp_path / "a.tiff", picture, extrasamples=[kind])
    with open_tiled(path, 0.5) as slide:
        found = slide.read(WHOLE, 1)
    assert found.shape == (200, 300, 3)
    assert abs(found.astype(int) - expected).max() <= 1


def test_a_fourth_channel_of_unknown_meaning_is_refused(tmp_path):
    path = saved(tmp_path / "a.tiff", np.zeros((200, 300, 4), np.uint8), extrasamples=[0])
    with pytest.raises(SlideError, match="RGB with 4 channels"):
        open_tiled(path, 0.5)


def test_a_level_of_another_shape_is_not_used(tmp_path, picture):
    path = saved(tmp_path / "a.tiff", picture, coarser=(150, 40))
    with open_tiled(path, 0.5) as slide:
        assert slide.level_sizes == ((300, 200),)
        assert abs(slide.read(WHOLE, 2).astype(int) - 127).mean() < 40


@pytest.mark.parametrize(
    ("level", "same"),
    [
        ((75, 62), True),  # 4.0 across, 4.03 down: rounded
        ((75, 63), True),
        ((37, 31), True),
        ((1, 1), True),
        ((75, 30), False),
        ((150, 62), False),
        ((600, 500), False),  # finer than the first
        ((0, 0), False),
    ],
)
def test_a_level_has_the_shape_of_the_first_up_to_rounding(level, same):
    assert _same_shape((300, 250), level) is same


def test_a_copy_that_was_cut_short_is_refused(tmp_path, picture):
    path = saved(tmp_path / "a.tiff", picture)
    path.write_bytes(path.read_bytes()[:-10_000])
    with pytest.raises(SlideError, match="the copy was cut short"):
        open_tiled(path, 0.5)


SCN = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
<collection name="c" sizeX="600000" sizeY="200000">
<image name="macro"><pixels sizeX="6" sizeY="2"><dimension sizeX="6" sizeY="2" r="0" ifd="0"/>
<dimension sizeX="6" sizeY="2" r="1" ifd="0"/></pixels>
<view sizeX="600000" sizeY="200000" offsetX="0" offsetY="0"/></image>
{images}
</collection></scn>"""
SCN_IMAGE = """<image name="i{n}" uuid="u{n}"><creationDate>d</creationDate>
<device model="m" version="v"/>
<pixels sizeX="100" sizeY="200"><dimension sizeX="100" sizeY="200" r="0" ifd="{a}"/>
<dimension sizeX="50" sizeY="100" r="1" ifd="{b}"/></pixels>
<view sizeX="100000" sizeY="200000" offsetX="{x}" offsetY="0"/>
<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings>
<illuminationSettings><numericalAperture>0.4</numericalAperture>
<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>
"""


def test_parts_that_a_scanner_took_apart_lie_where_it_saw_them_on_white(tmp_path, picture):
    """A Leica slide of 600 x 200 px at 1 micrometre: two parts of 100 px, 300 px apart."""
    images = "".join(
        SCN_IMAGE.format(n=n, a=1 + 2 * n, b=2 + 2 * n, x=100_000 + 300_000 * n) for n in range(2)
    )
    parts = [picture[:, :100], picture[:, 100:200]]
    how = {**HOW, "tile": (64, 64), "software": False}
    path = tmp_path / "a.scn"
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(np.zeros((2, 6, 3), np.uint8), description=SCN.format(images=images), **how)
        for part in parts:
            file.write(np.ascontiguousarray(part), **how)
            file.write(np.ascontiguousarray(part[::2, ::2]), **how)
    expected = np.full((200, 600, 3), 255, np.uint8)
    expected[:, 100:200], expected[:, 400:500] = parts
    with open_tiled(path, None) as slide:
        assert (slide.mpp, slide.level_sizes) == (1.0, ((600, 200), (300, 100)))
        assert (slide.read(Window(0, 0, 600, 200), 1) == expected).all()
        assert (slide.read(Window(150, 20, 450, 90), 1) == expected[20:90, 150:450]).all()


def test_whatever_the_libraries_raise_is_a_slide_error_with_the_reason(tmp_path, picture):
    path = saved(tmp_path / "a.tiff", picture)
    for kind in (*DAMAGE, struct.error):
        with open_tiled(path, 0.5) as slide:
            error = kind("seen")

            def fails(self, window, error=error):
                raise error

            slide._levels = [type("Level", (), {"read": fails})()]
            with pytest.raises(SlideError, match="level 0 is damaged near x 0, y 0"):
                slide.read(Window(0, 0, 10, 10), 1)


def test_too_little_memory_is_not_taken_for_damage(tmp_path, monkeypatch):
    def exhausted(_):
        raise MemoryError

    monkeypatch.setattr("storage.tiled_slides.tiffslide.TiffSlide", exhausted)
    with pytest.raises(MemoryError):
        open_tiled(tmp_path / "a.tiff", None)


@pytest.fixture
def answers():
    one = SlideAnswers()
    yield one
    one.close()


def test_a_slide_without_stain_is_refused_when_tissue_is_asked_for(tmp_path, answers):
    for name, grey, reason in (("glass", 250, "no stained tissue"), ("dark", 20, "fluorescence")):
        path = saved(tmp_path / f"{name}.tiff", np.full((200, 300, 3), grey, np.uint8))
        asked = {"path": str(path), "mpp": 0.5}
        assert answers.measure(asked)[0]["levels"] == ((300, 200), (150, 100))
        with pytest.raises(SlideError, match=reason):
            answers.measure({**asked, "tissue": True})


def test_an_overview_is_given_where_it_is_quick(tmp_path, picture, answers, monkeypatch):
    path = saved(tmp_path / "a.tiff", picture)
    asked = {"path": str(path), "mpp": 0.5, "overview_px": 150}
    header, (pixels,) = answers.measure(asked)
    assert header["shape"] == (100, 150)
    assert (np.frombuffer(pixels, np.uint8).reshape(100, 150, 3) == picture[::2, ::2]).all()
    monkeypatch.setattr("storage.slide_answers.SURVEYED_PX", 100)
    assert answers.measure(asked)[0]["shape"] is None


def test_quiet_silences_what_nothing_here_uses():
    with quiet():
        warnings.warn("hamamatsu-format metadata parsing only partially", stacklevel=1)
