"""Images are decoded in a child, faithfully or not at all."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from models.errors import ImageError
from storage import decoder as decoder_program
from storage.images import ImageDecoder, decode_image


@pytest.fixture(scope="module")
def decoder():
    with ImageDecoder() as one:
        yield one


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def saved(path, image, **how):
    image.save(path, **how)
    return path


def test_a_png_is_read_as_it_was_written(tmp_path, decoder, pixels):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    assert (decoder.decode(path) == pixels).all()
    assert (decoder.measure(path).width, decoder.measure(path).height) == (60, 40)


def test_one_call_decodes_one_file(tmp_path, pixels):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    assert (decode_image(path) == pixels).all()


def test_one_child_decodes_many_files(tmp_path, decoder, pixels):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    decoder.decode(path)
    child = decoder._process._child.pid
    for _ in range(3):
        decoder.decode(path)
    assert decoder._process._child.pid == child


def test_grey_becomes_three_equal_channels(tmp_path, decoder, pixels):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels[..., 0]))
    assert (decoder.decode(path) == pixels[..., :1]).all()


def test_what_is_transparent_becomes_white(tmp_path, decoder):
    path = saved(tmp_path / "a.png", Image.new("RGBA", (8, 8), (10, 20, 30, 0)))
    assert (decoder.decode(path) == 255).all()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP"])
def test_a_truncated_image_is_refused_and_the_next_one_is_read(tmp_path, decoder, pixels, form):
    whole = saved(tmp_path / f"a.{form}", Image.fromarray(pixels), format=form)
    cut = tmp_path / f"cut.{form}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"cut.*damaged"):
        decoder.decode(cut)
    assert decoder.decode(whole).shape == (40, 60, 3)


@pytest.mark.parametrize("content", [b"", b"not an image", b"II*\0 a tiff perhaps"])
def test_something_else_is_refused(tmp_path, decoder, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for read in (decoder.decode, decoder.measure):
        with pytest.raises(ImageError, match=r"a\.png: it is (no PNG|damaged)"):
            read(path)


def test_a_missing_file_is_named(tmp_path, decoder):
    for read in (decoder.decode, decoder.measure):
        with pytest.raises(ImageError, match=r"gone\.png: there is no such file"):
            read(tmp_path / "gone.png")


def test_cmyk_is_refused(tmp_path, decoder):
    path = saved(tmp_path / "a.jpg", Image.new("CMYK", (16, 16)))
    for read in (decoder.decode, decoder.measure):
        with pytest.raises(ImageError, match="CMYK, expected 8-bit RGB"):
            read(path)


def test_sixteen_bits_of_grey_are_refused(tmp_path, decoder):
    path = saved(tmp_path / "a.png", Image.fromarray(np.full((8, 8), 40000, np.uint16)))
    with pytest.raises(ImageError, match="8"):
        decoder.decode(path)


def test_sixteen_bits_of_colour_are_refused_though_pillow_would_cut_them(tmp_path, decoder):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((8, 8, 3), 40000, np.uint16))
    with Image.open(path) as image:
        assert image.mode == "RGB"
    with pytest.raises(ImageError, match="16 bits"):
        decoder.decode(path)


def test_an_image_that_asks_to_be_turned_is_refused(tmp_path, decoder, pixels):
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", image, exif=exif)
    with pytest.raises(ImageError, match="orientation tag"):
        decoder.decode(path)


def bomb(path, side):
    """Write a png whose header claims more pixels than it holds."""
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "PNG")
    data = bytearray(out.getvalue())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(data))
    return path


def test_a_bomb_is_refused_before_it_takes_memory(tmp_path, decoder):
    with pytest.raises(ImageError, match="100000 x 100000 px are too many"):
        decoder.decode(bomb(tmp_path / "a.png", 100_000))


def test_too_little_memory_is_an_image_error(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("RGB", (3000, 3000)))
    with pytest.raises(ImageError, match=r"memory|died"):
        decode_image(path, memory_limit_mb=100)


def test_decoding_that_takes_too_long_is_stopped_and_the_next_file_is_read(tmp_path, pixels):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    with ImageDecoder(timeout_s=0.0) as one:
        with pytest.raises(ImageError, match="took more than 0 s"):
            one.decode(path)
        one._timeout_s = 60
        assert (one.decode(path) == pixels).all()


def test_a_child_that_was_killed_is_started_again(tmp_path, pixels):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    with ImageDecoder() as one:
        one.decode(path)
        child = one._process._child
        assert child is not None
        child.kill()
        child.wait()
        assert (one.decode(path) == pixels).all()


LOOPS = "import sys; sys.path.insert(0, {root!r})\nimport storage.decoder as d\n"
LOOPS += "d.Answers.answer = lambda *_: {loop}\nd.main()\n"


@pytest.mark.parametrize("loop", ["[0 for _ in iter(int, 1)]", "__import__('time').sleep(60)"])
def test_a_decoder_that_loops_or_sleeps_is_stopped(tmp_path, pixels, monkeypatch, loop):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    script = tmp_path / "loops.py"
    root = str(Path(decoder_program.__file__).parents[1])
    script.write_text(LOOPS.format(root=root, loop=loop))
    monkeypatch.setattr("storage.decoder_process.PATIENCE", 5 if "sleep" in loop else 200)
    monkeypatch.setattr("storage.decoder_process.decoder.__file__", str(script))
    with ImageDecoder(timeout_s=0.1) as one, pytest.raises(ImageError, match=r"more than 0\.1 s"):
        one.decode(path)


def test_a_child_that_dies_on_a_file_is_an_image_error(tmp_path, pixels, monkeypatch):
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    script = tmp_path / "dies.py"
    script.write_text("input()")
    monkeypatch.setattr("storage.decoder_process.decoder.__file__", str(script))
    with ImageDecoder() as one, pytest.raises(ImageError, match="died"):
        one.decode(path)
