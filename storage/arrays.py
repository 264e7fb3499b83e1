"""How arrays lie on disk: zarr v3, sharded, compressed and with a checksum in every chunk."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote

import numpy as np
import zarr
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec

from storage.checked import CheckedArray, open_checked

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CHUNK_PX = 512
SHARD_PX = 4096


class Rows(Protocol):
    """An array that may be too large for memory, read some rows at a time."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the size of each axis."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the values."""
        ...

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Return some rows."""
        ...


def folder_name(region_id: str) -> str:
    """Return a region id as a folder name that every filesystem takes."""
    return quote(region_id, safe="@,-_").replace(".", "%2E")


def region_of(folder: str) -> str:
    """Return the region id of a folder name."""
    return unquote(folder)


def write_array(path: Path, values: NDArray[Any] | Rows, fill: int, level: int = 3) -> None:
    """Write one image-like array, (y, x) or (y, x, c); one writer, whole shards.

    Parameters
    ----------
    path
        Folder of the new array.
    values
        The pixels.
    fill
        What a missing chunk reads as.
    level
        How hard zstd tries. Cell ids take half the time at 2, for 3 % more bytes.
    """
    channels = values.shape[2:]
    shard = tuple(min(SHARD_PX, -(-side // CHUNK_PX) * CHUNK_PX) for side in values.shape[:2])
    array = zarr.create_array(
        store=str(path),
        shape=values.shape,
        dtype=values.dtype,
        chunks=(CHUNK_PX, CHUNK_PX, *channels),
        shards=(*shard, *channels),
        fill_value=fill,
        # The checksum: without it half of all bit flips in a chunk are read as wrong pixels.
        compressors=[
            BloscCodec(cname="zstd", clevel=level, shuffle=BloscShuffle.bitshuffle),
            Crc32cCodec(),
        ],
    )
    for top in range(0, values.shape[0], shard[0]):
        array[top : top + shard[0]] = values[top : top + shard[0]]


def save_array(path: Path, values: NDArray[Any]) -> None:
    """Write a small array as ``.npy``, never pickled.

    numpy's own writing says of a full disk only how many bytes it could not write.
    """
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    path.write_bytes(stream.getvalue())


def open_array(path: Path) -> CheckedArray:
    """Return an array for reading; what was altered on disk is an error that names the file."""
    return open_checked(path)
