"""Files that an attacker would send, made small; nothing here is copied from anywhere."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

TIB = 1 << 40
BELL_AND_COLOUR = "red \x1b[31m and bell \x07.png"
TWO_LINES = "one.png\nerror: two.png"
REVERSED = "gnp.\u202eexe.png"


def tissue(side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return an image (side, side, 3) that could be stained tissue."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(90, 220, (8, 8, 3), np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    noise = rng.integers(-20, 20, image.shape)
    shown = np.clip(image.astype(int) + noise - (0, 60, 0), 0, 255)
    return np.asarray(shown, np.uint8)


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds 8 x 8 pixels."""
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "PNG")
    data = bytearray(out.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def tiff(tags: Mapping[int, tuple[int, ...] | bytes], pixels: bytes = b"") -> bytes:
    """Return a little-endian TIFF with one directory; its pixels begin at byte 8.

    Parameters
    ----------
    tags
        Values of type LONG, or text.
    pixels
        What follows the header.
    """
    start = 8 + len(pixels) + len(pixels) % 2
    late, entries = b"", b""
    where = start + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items()):
        data = value if isinstance(value, bytes) else struct.pack(f"<{len(value)}I", *value)
        kind, size = (2, 1) if isinstance(value, bytes) else (4, 4)
        held = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", where + len(late))
        late += b"" if len(data) <= 4 else data
        entries += struct.pack("<HHI", tag, kind, len(data) // size) + held
    directory = struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"
    return (
        struct.pack("<2sHI", b"II", 42, start) + pixels.ljust(start - 8, b"\0") + directory + late
    )


def slide_header(width: int, height: int, **changed: tuple[int, ...]) -> dict[int, Any]:
    """Return the tags of an Aperio slide of that size with one tile."""
    numbers = {"tile_width": 322, "tile_height": 323, "offsets": 324, "counts": 325,
               "compression": 259, "samples": 277, "bits": 258}  # fmt: skip
    tags = {
        256: (width,), 257: (height,), 258: (8, 8, 8), 259: (1,), 262: (2,), 277: (3,), 284: (1,),
        322: (256,), 323: (256,), 324: (8,), 325: (256 * 256 * 3,),
        270: b"Aperio Image Library v12\r\n|AppMag = 20|MPP = 0.5\0",
    }  # fmt: skip
    return tags | {numbers[name]: value for name, value in changed.items()}


def write_slide(path: Path, image: NDArray[np.uint8], mpp: float = 0.5) -> None:
    """Write a good slide of two levels."""
    how: dict[str, Any] = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
    where: dict[str, Any] = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as file:
        file.write(image, subifds=1, **where, **how)
        file.write(np.ascontiguousarray(image[::2, ::2]), subfiletype=1, **how)


def write_good(folder: Path) -> set[str]:
    """Write files that must be read; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(tissue(200, 1)).save(folder / "good.png")
    Image.fromarray(tissue(200, 2)).save(folder / "good å 細胞.jpg", quality=92)
    Image.fromarray(tissue(200, 3)).save(folder / "good.bmp")
    Image.fromarray(tissue(200, 4)).save(folder / "flat.tif")
    write_slide(folder / "slide.tiff", tissue(300, 5))
    Image.fromarray(tissue(200, 1)).transpose(Image.Transpose.ROTATE_90).save(folder / "copy.png")
    return {"copy.png", "good.png", "good å 細胞.jpg", "good.bmp", "flat.tif", "slide.tiff"}


def write_bombs(folder: Path) -> set[str]:
    """Write small files that are, or claim to be, large; return their names."""
    zeros = zlib.compress(bytes(300 << 20), 1)
    huge = slide_header(1_200_000, 1_000_000)
    files = {
        "bomb.png": png_header(100_000, 100_000),
        "bomb.gif": b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0,",
        "bomb.bmp": _bmp_header(60_000, 60_000),
        "tile-inflates.svs": tiff(
            slide_header(256, 256, compression=(8,), counts=(len(zeros),)), zeros
        ),
        "3.5-tib.svs": tiff(huge, bytes(256 * 256 * 3)),
        "one-tile.svs": tiff(
            slide_header(60_000, 60_000, tile_width=(60_000,), tile_height=(60_000,),
                         counts=(1000,)), bytes(1000),
        ),
        "channels.tif": tiff(
            {256: (65535,), 257: (900,), 258: (8,), 259: (1,), 262: (1,), 273: (8,),
             277: (65535,), 278: (900,), 279: (100,)}, bytes(100),
        ),
        "no-size.tif": tiff({256: (0,), 257: (4,), 258: (8,), 262: (1,), 273: (8,), 279: (4,)}),
        "loop.tif": _looping_tiff(),
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_bytes(data)
    for name in ("sparse.tif", "sparse.jpg"):
        with (folder / name).open("wb") as stream:
            stream.truncate(TIB)
    with (folder / "tail.png").open("wb") as stream:
        Image.fromarray(tissue(64)).save(stream, "PNG")
        stream.truncate(TIB)
    return {*files, "sparse.tif", "sparse.jpg", "tail.png"}


def _bmp_header(width: int, height: int) -> bytes:
    head = struct.pack("<2sIHHI", b"BM", 54, 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def _looping_tiff() -> bytes:
    """Return a TIFF whose directory is followed by itself."""
    data = bytearray(tiff({256: (70,), 257: (70,), 258: (8,), 262: (1,), 273: (8,), 279: (4,)}))
    start = struct.unpack("<I", data[4:8])[0]
    end = start + 2 + 12 * struct.unpack("<H", data[start : start + 2])[0]
    data[end : end + 4] = data[4:8]
    return bytes(data)


def write_unfaithful(folder: Path) -> set[str]:
    """Write images that a careless reader shows with wrong colours, or wrongly turned."""
    image = Image.fromarray(tissue(80))
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.convert("CMYK").save(folder / "cmyk.tif")
    image.convert("LAB").save(folder / "lab.tif")
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(folder / "turned.jpg", exif=exif)
    image.save(folder / "turned.tif", tiffinfo={274: 3})
    Image.fromarray(np.full((80, 80), 40_000, np.uint16)).save(folder / "16-bit.png")
    tifffile.imwrite(folder / "16-bit.tif", np.full((80, 80, 3), 40_000, np.uint16),
                     photometric="rgb")  # fmt: skip
    pages = np.stack([tissue(80, seed) for seed in range(3)])
    tifffile.imwrite(folder / "pages.tif", pages, photometric="rgb", metadata=None)
    whole = io.BytesIO()
    image.save(whole, "JPEG")
    (folder / "cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    return {path.name for path in folder.iterdir()} & {
        "cmyk.jpg", "cmyk.tif", "lab.tif", "turned.jpg", "turned.tif", "16-bit.png", "16-bit.tif",
        "pages.tif", "cut.jpg",
    }  # fmt: skip


def write_traps(folder: Path, secret: Path) -> set[str]:
    """Write names and kinds of entries that lead astray or never end; return their names."""
    png = (folder / "good.png").read_bytes()
    names = {BELL_AND_COLOUR, TWO_LINES + ".png", REVERSED, os.fsdecode(b"latin \xe9.png")}
    for name in names:
        (folder / name).write_bytes(png)
    links = {
        "out.png": str(secret),
        "loop.png": "loop.png",
        "zero.png": "/dev/zero",
        "gone.jpg": "gone",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target)
    (folder / "circle").symlink_to(".")
    (folder / "folder.png").mkdir()
    for name in ("pipe.png", "pipe.svs"):
        os.mkfifo(folder / name)
    with socket.socket(socket.AF_UNIX) as one:
        here = os.open(folder, os.O_RDONLY)  # names of sockets are short: from within the folder
        try:
            one.bind(f"/proc/self/fd/{here}/socket.png")
        finally:
            os.close(here)
    for name in ("empty.png", "empty.svs"):
        (folder / name).touch()
    (folder / "text.jpg").write_text("no image")
    return {
        *names, *links, "circle", "pipe.png", "pipe.svs", "socket.png", "empty.png", "empty.svs",
        "text.jpg",
    }  # fmt: skip
