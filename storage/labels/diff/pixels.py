"""How many pixels of each class became which, without decoding what is the same on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import PixelClass
from storage.arrays import folder_name
from storage.block_work import require_seen
from storage.checked import shard_parts
from storage.labels.schema import CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from storage.labels.region import StoredRegion
    from storage.labels.store import LabelVersion

DESCRIPTION = "zarr.json"
CLASS_NAMES = tuple(one.name.lower() for one in PixelClass)
"""background, edge, inner, ignore: the order of rows and columns."""
_ROW = np.zeros(256, np.uint8)
_ROW[list(map(int, PixelClass))] = np.arange(len(PixelClass))


@dataclass(slots=True)
class ClassMatrix:
    """Pixels by their class before and after, where shards differ."""

    matrix: NDArray[np.int64] = field(default_factory=lambda: np.zeros((4, 4), np.int64))
    """[before, after] in the order of `CLASS_NAMES`, of decoded pixels."""
    equal_px: int = 0
    """Pixels of shards that are the same files, or files of the same content: never decoded."""
    n_equal: int = 0
    n_decoded: int = 0
    """Shards."""

    @property
    def changed_px(self) -> int:
        """Return how many pixels have another class."""
        return int(self.matrix.sum() - np.trace(self.matrix))

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "classes": list(CLASS_NAMES),
            "matrix": self.matrix.tolist(),
            "changed_px": self.changed_px,
            "decoded_px": int(self.matrix.sum()),
            "equal_px": self.equal_px,
            "shards_decoded": self.n_decoded,
            "shards_equal": self.n_equal,
        }

    def add_equal(self, version: LabelVersion, region_id: str) -> None:
        """Count a region that is the same in both versions."""
        height, width = version.classes(region_id).shape
        self.equal_px += height * width
        self.n_equal += 1

    def add(self, other: ClassMatrix) -> None:
        """Count what another one has counted."""
        self.matrix += other.matrix
        self.equal_px += other.equal_px
        self.n_equal += other.n_equal
        self.n_decoded += other.n_decoded


@dataclass(frozen=True, slots=True)
class PixelsOfTwo:
    """A region of two versions, or every so many of its shards: what one worker counts."""

    before: StoredRegion
    after: StoredRegion
    before_shards: dict[str, str]
    """Sha256 of each file of the classes, by its name in the array."""
    after_shards: dict[str, str]
    part: int = 0
    n_parts: int = 1


def shards_of(version: LabelVersion) -> dict[str, dict[str, str]]:
    """Return the sha256 of each shard of the classes of a version, by folder of the region."""
    found: dict[str, dict[str, str]] = {}
    for name, sha256 in version.hashes.items():
        folder, _, inside = name.partition("/")
        array, _, key = inside.partition("/")
        if array == CLASSES and key != DESCRIPTION:
            found.setdefault(folder, {})[key] = sha256
    return found


class PixelsByRegion:
    """Says what is to be counted of the regions of two versions."""

    def __init__(self, before: LabelVersion, after: LabelVersion) -> None:
        self._before, self._after = before, after
        self._before_shards, self._after_shards = shards_of(before), shards_of(after)

    def of(self, region_id: str) -> Iterator[PixelsOfTwo]:
        """Yield a region that both versions have, in parts of about a shard."""
        name = folder_name(region_id)
        first, second = (one.get(name, {}) for one in (self._before_shards, self._after_shards))
        before, after = self._before.region(region_id), self._after.region(region_id)
        n_parts = max(1, len(first.keys() | second.keys()))
        for part in range(n_parts):
            yield PixelsOfTwo(before, after, first, second, part, n_parts)


def count_pixels(pair: PixelsOfTwo) -> ClassMatrix | None:
    """Count the pixels of one part, a shard at a time; None if the regions differ in size."""
    require_seen(pair.before.folder, pair.after.folder)
    first, second = pair.before.classes(), pair.after.classes()
    if first.shape != second.shape:
        return None
    found = ClassMatrix()
    for key, where in islice(shard_parts(first), pair.part, None, pair.n_parts):
        # No file stands for the fill value everywhere: equal, where both have none.
        if pair.before_shards.get(key) == pair.after_shards.get(key):
            found.n_equal += 1
            found.equal_px += int(np.prod([part.stop - part.start for part in where]))
        else:
            found.n_decoded += 1
            found.matrix += count_classes(np.asarray(first[where]), np.asarray(second[where]))
    return found


def count_classes(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixels of each class became which, (4, 4)."""
    differ = before != after
    pairs = _ROW[before[differ]] * np.uint8(4) + _ROW[after[differ]]
    counts = np.bincount(pairs, minlength=16).reshape(4, 4).astype(np.int64)
    # What stayed is most of it, and quicker counted than sorted into pairs.
    for row, value in enumerate(PixelClass):
        counts[row, row] = np.count_nonzero(before == value) - counts[row].sum()
    return counts
