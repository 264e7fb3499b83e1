"""Damage that image libraries only print about refuses the image."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from models.errors import ImageError
from storage.complaints import damage_in
from storage.images import ImageDecoder


@pytest.mark.parametrize(
    ("printed", "is_damage"),
    [
        ("Corrupt JPEG data: bad Huffman code", True),
        ("Corrupt JPEG data: premature end of data segment", True),
        ("Corrupt JPEG data: 12 extraneous bytes before marker 0xd3", True),
        ("Corrupt JPEG data: 12 extraneous bytes before marker 0xd9", False),
        ("Corrupt JPEG data: 16 extraneous bytes before marker 0xe1", False),
        ("Premature end of JPEG file", True),
        ("Fax4Decode: Bad code word at line 27 of strip 0 (x 0).", True),
        ("ZIPDecode: Decoding error at scanline 0, incorrect header check.", True),
        ("TIFFFillStrip: Read error on strip 0; got 3 bytes, expected 1012.", True),
        ("TIFFFetchNormalTag: custom tag 196 is not read from file.", False),
        ("Fax3Decode1D: Warning, Line length mismatch at line 2 of strip 0", False),
        ("libpng warning: iCCP: known incorrect sRGB profile", False),
        ("[ WARN:0@0.1] global grfmt_tiff.cpp:123 TIFF_Warning Fax4Decode: Bad", False),
        ("", False),
    ],
)
def test_lost_pixels_are_damage_and_remarks_are_not(printed, is_damage):
    line = damage_in(f"libpng warning: something\n{printed}\n")
    assert (line == printed) if is_damage else (line is None)


@pytest.fixture(scope="module")
def picture():
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)


def jpeg(picture, **how):
    out = io.BytesIO()
    picture.save(out, "JPEG", **how)
    return out.getvalue()


@pytest.mark.parametrize("read", ["decode", "measure"])
def test_a_jpeg_that_lost_pixels_in_its_middle_is_refused_though_readers_show_it(
    tmp_path, picture, read
):
    data = bytearray(jpeg(picture, quality=90, restart_marker_blocks=20))
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(data))
    with Image.open(path) as image:
        image.load()  # Pillow shows it without a word
    good = tmp_path / "b.jpg"
    picture.save(good)
    with ImageDecoder() as decoder:
        with pytest.raises(ImageError, match=r"a\.jpg: it is damaged \(Corrupt JPEG data"):
            getattr(decoder, read)(path)
        getattr(decoder, read)(good)  # and is not blamed for the one before


@pytest.mark.parametrize("how", [
    {"quality": 95, "subsampling": 0}, {"quality": 75, "subsampling": 1},
    {"quality": 40, "subsampling": 2}, {"quality": 90, "progressive": True},
    {"quality": 90, "restart_marker_blocks": 7}, {"quality": 90, "keep_rgb": True},
])  # fmt: skip
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpegs_of_all_kinds_have_the_pixels_that_pillow_sees(tmp_path, picture, mode, how):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(picture.convert(mode), **how))
    with ImageDecoder() as decoder, Image.open(path) as image:
        assert (decoder.decode(path) == np.asarray(image.convert("RGB"))).all()


def test_the_overview_of_a_jpeg_is_the_picture_in_small(tmp_path, picture):
    large = picture.resize((1600, 1200), Image.Resampling.BICUBIC)
    for name in ("a.jpg", "a.png"):
        large.save(tmp_path / name)
    with ImageDecoder() as decoder:
        of_jpeg = decoder.measure(tmp_path / "a.jpg", overview_px=160).overview
        of_png = decoder.measure(tmp_path / "a.png", overview_px=160).overview
    assert of_jpeg is not None
    assert of_png is not None
    assert (of_jpeg.shape, of_png.shape) == ((120, 160, 3), (120, 160, 3))
    assert abs(of_jpeg.astype(int) - of_png).mean() < 3
    expected = cv2.resize(np.asarray(large), (160, 120), interpolation=cv2.INTER_AREA)
    assert abs(of_png.astype(int) - expected).max() <= 1
