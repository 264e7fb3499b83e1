"""Stored arrays that name the file when what they read was altered on disk.

Each chunk and each index of a shard carries a crc32c, so that altered bytes are an error and never
pixels. zarr's error does not say of which file.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.errors import BaseZarrError
from zarr.storage import LocalStore

from models.errors import IntegrityError
from storage.artefacts import distrust_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAMAGE = (ValueError, TypeError, KeyError, RuntimeError, OSError, BaseZarrError)
"""What zarr and its codecs raise on altered files, among other things."""


class CheckedArray(zarr.Array[Any]):
    """An array on disk whose reader is told which file was altered."""

    def __getitem__(self, selection: Any) -> Any:  # noqa: ANN401  # zarr's own types
        """Return the pixels of a selection.

        Raises
        ------
        IntegrityError
            If a shard was altered: names it.
        """
        try:
            return super().__getitem__(selection)
        except _DAMAGE as error:
            altered = altered_shards(self)
            if not altered:
                raise
            raise altered_error(altered[0]) from error


def open_checked(path: Path) -> CheckedArray:
    """Return an array for reading.

    Raises
    ------
    IntegrityError
        If its description is missing or altered.
    """
    try:
        found = zarr.open_array(store=str(path), mode="r")
        return CheckedArray(found.async_array)
    except _DAMAGE as error:
        raise altered_error(path / "zarr.json") from error


def altered_error(path: Path) -> IntegrityError:
    """Return the error for an altered file, which the next run will look at closely."""
    distrust_file(path)
    return IntegrityError(
        f"{path}: altered on disk since it was written. 'signetflow labels verify --all' shows "
        f"what else is; run the command that made it again: what is damaged is made anew."
    )


def altered_shards(array: zarr.Array[Any]) -> list[Path]:
    """Return the files of an array that cannot be decoded."""
    return [path for path, where in stored_shards(array) if not _is_readable(array, where)]


def stored_shards(array: zarr.Array[Any]) -> Iterator[tuple[Path, tuple[slice, ...]]]:
    """Yield each file of an array and which part of the array it holds."""
    store = array.store_path.store
    if not isinstance(store, LocalStore):
        raise TypeError(f"{store}: only arrays in folders are checked.")
    for key, where in shard_parts(array):
        path = store.root / array.store_path.path / key
        if path.exists():
            yield path, where


def shard_parts(array: zarr.Array[Any]) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """Yield the name of each shard that an array may have, and which part of it that would hold."""
    sides = array.shards or array.chunks
    counts = (range(-(-length // side)) for length, side in zip(array.shape, sides, strict=True))
    for place in product(*counts):
        bounds = zip(place, sides, array.shape, strict=True)
        where = tuple(slice(i * n, min((i + 1) * n, end)) for i, n, end in bounds)
        yield array.metadata.encode_chunk_key(place), where


def _is_readable(array: zarr.Array[Any], where: tuple[slice, ...]) -> bool:
    try:
        np.asarray(zarr.Array.__getitem__(array, where))
    except _DAMAGE:
        return False
    return True
