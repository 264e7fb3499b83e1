"""Width and height of images without decoding them, unless something about them is unusual.

A plain PNG or JPEG says its size in its header. Whether it is whole shows without decoding, too: by
the checksums of a PNG, by the end of a JPEG. Copying 10,000 good images through a decoder to learn
nothing more takes minutes. What looks unusual in any way goes through the decoder; the catalogue,
which looks at the pixels of all, refuses what is damaged without showing it.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

from models.errors import ImageError
from storage.images import Measured

if TYPE_CHECKING:
    from pathlib import Path

    from storage.images import ImageDecoder

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
TAIL_BYTES = 4096
"""Cameras and scanners write a few bytes after the end of a JPEG."""
PIXELS_PER_BYTE = 1032
"""Deflate packs no tighter, and what is photographed not nearly as tight."""
LARGEST_PX = 100_000_000
"""Above, whether an image fits into memory is for the decoder to say."""
_FRAMES = {0xC0, 0xC1, 0xC2}
"""Baseline, extended and progressive JPEG."""
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
_LEADING_BYTES = 1 << 20
_EXIF = b"Exif\0\0"
_ORDERS = {b"II": "<", b"MM": ">"}
_ORIENTATION = 0x0112
_UPRIGHT = 1


def measured(path: Path, mpp: float | None, decoder: ImageDecoder) -> Measured:
    """Return the size of a slide or image.

    Parameters
    ----------
    path
        The file.
    mpp
        Micrometres per pixel, in place of what a slide says.
    decoder
        Takes the files that are not plain.

    Raises
    ------
    ImageError
        If it is missing, damaged or of a kind that cannot be read; the reason does not name it.
    """
    plain = _plain_size(path)
    if plain:
        return Measured(*plain, mpp, level_sizes=())
    try:
        return decoder.measure(path, mpp)
    except ImageError as error:
        raise ImageError(str(error).removeprefix(f"{path}: ")) from error


def _plain_size(path: Path) -> tuple[int, int] | None:
    """Return width and height of a PNG or JPEG that is whole and as most are."""
    try:
        with path.open("rb") as stream:
            n_bytes = stream.seek(0, 2)
            stream.seek(0)
            start = stream.read(len(PNG_SIGNATURE))
            if start == PNG_SIGNATURE:
                size = _png_size(stream)
            elif start.startswith(JPEG_START):
                size = _jpeg_size(stream, n_bytes)
            else:
                return None
    except OSError:
        return None
    n_pixels = size[0] * size[1] if size else 0
    return size if 0 < n_pixels <= min(LARGEST_PX, n_bytes * PIXELS_PER_BYTE) else None


def _png_size(stream: BinaryIO) -> tuple[int, int] | None:
    """Return the size if there are at most 8 bits a channel and all chunks are whole."""
    size = None
    while True:
        kind, data = _chunk(stream)
        if kind == b"IHDR":
            size = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
            if data[8:9] == b"\x10":
                return None
        elif kind in {b"", b"eXIf"} or (kind.endswith(b"Xt") and b"exif" in data.lower()):
            return None
        elif kind == b"IEND":
            return size


def _chunk(stream: BinaryIO) -> tuple[bytes, bytes]:
    """Return kind and beginning of the next chunk of a PNG; no kind if it is damaged."""
    head = stream.read(8)
    if len(head) < 8:
        return b"", b""
    left, kind = int.from_bytes(head[:4], "big"), head[4:]
    crc, beginning = zlib.crc32(kind), b""
    while left:
        some = stream.read(min(left, _LEADING_BYTES))
        if not some:
            return b"", b""
        beginning = beginning or some
        crc, left = zlib.crc32(some, crc), left - len(some)
    return (kind, beginning) if stream.read(4) == crc.to_bytes(4, "big") else (b"", b"")


def _jpeg_size(stream: BinaryIO, n_bytes: int) -> tuple[int, int] | None:
    """Return the size if the file has its end, and is upright grey or colour of 8 bits."""
    stream.seek(max(0, n_bytes - TAIL_BYTES))
    if JPEG_END not in stream.read():
        return None
    stream.seek(len(JPEG_START))
    for kind, data in iter(lambda: _segment(stream), (0, b"")):
        if kind in _FRAMES:
            precision, height, width, channels = (
                data[0], *(int.from_bytes(data[n : n + 2], "big") for n in (1, 3)), data[5],
            )  # fmt: skip
            return (width, height) if precision == 8 and channels in {1, 3} else None
        if not _is_upright(kind, data):
            return None
    return None


def _segment(stream: BinaryIO) -> tuple[int, bytes]:
    """Return kind and content of the next segment of a JPEG's header; 0 where it ends."""
    mark = stream.read(2)
    while mark[:1] == b"\xff" and mark[1:] == b"\xff":  # padding
        mark = mark[1:] + stream.read(1)
    if len(mark) < 2 or mark[0] != 0xFF or mark[1] in _NO_LENGTH or mark[1] == 0xDA:
        return 0, b""
    length = int.from_bytes(stream.read(2), "big") - 2
    data = stream.read(max(length, 0))
    return (mark[1], data) if len(data) == length > 5 else (mark[1], b"\0" * 6)


def _is_upright(kind: int, data: bytes) -> bool:
    """Return whether a segment does not ask viewers to turn the image, as far as can be seen."""
    if kind != 0xE1:
        return True
    if not data.startswith(_EXIF):
        return b"tiff:Orientation" not in data
    tags = data.removeprefix(_EXIF)
    try:
        order = _ORDERS[tags[:2]]
        first = struct.unpack_from(f"{order}I", tags, 4)[0]
        n_tags = struct.unpack_from(f"{order}H", tags, first)[0]
        values = (
            struct.unpack_from(f"{order}HHIH", tags, first + 2 + 12 * n) for n in range(n_tags)
        )
        return all(tag != _ORIENTATION or value == _UPRIGHT for tag, _, _, value in values)
    except (KeyError, struct.error):
        return False
