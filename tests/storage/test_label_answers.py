import numpy as np
import pytest
import tifffile
from PIL import Image

from models.errors import ImageError
from storage.images import ImageDecoder


@pytest.fixture(scope="module")
def decoder():
    with ImageDecoder() as one:
        yield one


def saved(path, values, mode=None, **how):
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(path, **how)
    return path


SMALL = np.array([[0, 1, 2], [255, 7, 0]])


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_values_of_a_byte_are_read(tmp_path, decoder, name):
    found = decoder.labels(saved(tmp_path / name, SMALL.astype(np.uint8)))
    assert found.tolist() == SMALL.tolist()
    assert found.dtype == np.int32


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_values_of_two_bytes_are_read(tmp_path, decoder, name):
    values = SMALL * 257
    assert decoder.labels(saved(tmp_path / name, values.astype(np.uint16))).tolist() == (
        values.tolist()
    )


def test_values_of_four_bytes_are_read_up_to_what_can_be_sent(tmp_path, decoder):
    values = np.array([[0, 2**24 - 1, 65_536]], np.int32)
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert decoder.labels(tmp_path / "a.tif").tolist() == values.tolist()
    for wrong in (2**24, -1):
        tifffile.imwrite(tmp_path / "b.tif", np.array([[0, wrong]], np.int32))
        with pytest.raises(ImageError, match="values below 0 or above 16777215"):
            decoder.labels(tmp_path / "b.tif")


def test_of_a_palette_the_places_count_and_not_the_colours(tmp_path, decoder):
    image = Image.fromarray(SMALL.astype(np.uint8))
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([9, 9, 9] * 256)
    image.save(tmp_path / "a.png")
    assert decoder.labels(tmp_path / "a.png").tolist() == SMALL.tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_grey_saved_as_colours_is_read(tmp_path, decoder, mode):
    path = saved(tmp_path / "a.png", SMALL.astype(np.uint8), mode)
    assert decoder.labels(path).tolist() == SMALL.tolist()


def test_one_bit_is_read(tmp_path, decoder):
    path = saved(tmp_path / "a.png", SMALL > 0)
    assert (decoder.labels(path) > 0).tolist() == (SMALL > 0).tolist()


def test_what_are_no_labels_is_refused(tmp_path, decoder):
    colours = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    tifffile.imwrite(tmp_path / "f.tif", SMALL.astype(np.float32))
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((3, 8, 8), np.uint8), photometric="minisblack")
    turned = Image.fromarray(SMALL.astype(np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "t.png", exif=exif)
    (tmp_path / "x.png").write_text("text")
    whole = saved(tmp_path / "w.png", colours[..., 0]).read_bytes()
    (tmp_path / "d.png").write_bytes(whole[: len(whole) // 2])
    for path, reason in {
        saved(tmp_path / "c.png", colours): "it is coloured",
        saved(tmp_path / "j.png", colours[..., 0], format="JPEG"): "it is no PNG",
        tmp_path / "f.tif": "its values are fractions",
        tmp_path / "s.tif": "several pictures",
        tmp_path / "t.png": "asks viewers to turn it",
        tmp_path / "x.png": "it is no PNG",
        tmp_path / "d.png": "it is damaged",
        tmp_path / "gone.png": "there is no such file",
    }.items():
        with pytest.raises(ImageError, match=reason):
            decoder.labels(path)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    path = saved(tmp_path / "a.png", np.zeros((4000, 4000), np.uint8))
    with ImageDecoder(memory_limit_mb=150) as small, pytest.raises(ImageError, match="memory"):
        small.labels(path)
