import contextlib
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.errors import ImageError
from storage.datasets.measured import measured
from storage.images import ImageDecoder

WIDTH, HEIGHT = 60, 40


class CountingDecoder(ImageDecoder):
    """Counts how often its child is needed."""

    n_used = 0

    def measure(self, *words, **options):
        self.n_used += 1
        return super().measure(*words, **options)


@pytest.fixture
def decoder():
    with CountingDecoder() as one:
        yield one


def noise(channels=3):
    shape = (HEIGHT, WIDTH, channels)[: 2 if channels == 1 else 3]
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, shape, np.uint8))


def saved(path, image, **how):
    image.save(path, **how)
    return path


def exif(orientation):
    values = noise().getexif()
    values[0x0112] = orientation
    return values


@pytest.mark.parametrize(
    ("name", "image", "how"),
    [
        ("a.png", noise(), {}),
        ("a.png", noise(4), {}),
        ("a.png", noise(1), {}),
        ("a.png", noise().quantize(7), {}),
        ("a.png", noise().convert("1"), {}),
        ("a.jpg", noise(), {}),
        ("a.jpg", noise(1), {}),
        ("a.jpg", noise(), {"progressive": True}),
        ("a.jpg", noise(), {"exif": exif(1)}),
        ("a.jpg", noise(), {"comment": "x"}),
    ],
)
def test_a_plain_image_is_not_decoded(tmp_path, decoder, name, image, how):
    found = measured(saved(tmp_path / name, image, **how), 0.25, decoder)
    assert (found.width, found.height, found.mpp) == (WIDTH, HEIGHT, 0.25)
    assert decoder.n_used == 0


def chunk(kind, data):
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def bomb(side):
    start = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    whole = [chunk(b"IHDR", start), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def png():
    out = io.BytesIO()
    noise().save(out, "PNG")
    return out.getvalue()


def jpeg():
    out = io.BytesIO()
    noise().save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"text", png()[:-30], png()[:60], png()[:20], jpeg()[:-300], jpeg()[:300],
        jpeg()[:3], bomb(5000), bomb(60_000),
        png().replace(png()[500:510], b"0123456789"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_damaged_image_is_refused_after_the_decoder_saw_it(tmp_path, decoder, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        measured(path, None, decoder)
    assert str(path) not in str(caught.value)
    assert decoder.n_used


def test_what_the_decoder_would_refuse_is_refused(tmp_path, decoder):
    turned = saved(tmp_path / "turned.jpg", noise(), exif=exif(6))
    cmyk = saved(tmp_path / "cmyk.jpg", Image.new("CMYK", (WIDTH, HEIGHT)))
    deep = saved(tmp_path / "deep.png", Image.fromarray(np.full((8, 8), 40000, np.uint16)))
    late = tmp_path / "late.png"
    late.write_bytes(png()[:-12] + chunk(b"eXIf", exif(6).tobytes()[6:]) + png()[-12:])
    for path in (turned, cmyk, deep, late, tmp_path / "gone.png"):
        with pytest.raises(ImageError):
            measured(path, None, decoder)


def with_exif(content):
    segment = b"Exif\0\0" + content
    whole = jpeg()
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + whole[2:]


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_no_exif_does_anything_worse_than_calling_the_decoder(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("exif") / "a.jpg"
    path.write_bytes(with_exif(content))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                turned = image.getexif().get(0x0112, 1) != 1
    except (SyntaxError, OSError, struct.error):
        turned = True
    calls: list[object] = []
    with CountingDecoder() as decoder:
        decoder.measure = lambda *words: calls.append(words)  # type: ignore[method-assign]
        measured(path, None, decoder)
    assert calls or not turned


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_only_upright_images_are_plain(tmp_path, decoder, order, orientation):
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    tags = struct.pack(f"{order}IHHHIHH", 8, 1, 0x0112, 3, 1, orientation, 0)
    path = tmp_path / "a.jpg"
    path.write_bytes(with_exif(mark + tags))
    if orientation == 1:
        assert measured(path, None, decoder).width == WIDTH
        assert decoder.n_used == 0
    else:
        with pytest.raises(ImageError, match="orientation"):
            measured(path, None, decoder)


@pytest.fixture(scope="module")
def shared():
    with ImageDecoder() as one:
        yield one


@settings(deadline=None)
@given(data=st.data())
def test_no_damage_does_anything_worse_than_a_refusal(tmp_path_factory, shared, data):
    whole = data.draw(st.sampled_from([png(), jpeg()]))
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + data.draw(st.binary(max_size=20)) + whole[at + 10 :]
    path = tmp_path_factory.mktemp("broken") / "a.png"
    path.write_bytes(broken)
    with contextlib.suppress(ImageError):
        measured(path, None, shared)


def test_unusual_images_are_measured_by_the_decoder(tmp_path, decoder):
    padded = tmp_path / "padded.jpg"
    padded.write_bytes(jpeg() + b"\0" * 9000)
    endless = tmp_path / "endless.png"
    endless.write_bytes(png()[:-12])
    bitmap = saved(tmp_path / "a.bmp", noise())
    other_name = saved(tmp_path / "really_a_png.jpg", noise(), format="PNG")
    for path in (padded, endless, bitmap, other_name):
        found = measured(path, None, decoder)
        assert (found.width, found.height) == (WIDTH, HEIGHT)
    assert decoder.n_used == 3
