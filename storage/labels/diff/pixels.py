"""How many pixels of each class became which, without decoding what is the same on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from models.annotations import PixelClass
from storage.arrays import folder_name
from storage.checked import shard_parts
from storage.labels.schema import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from storage.labels.store import LabelVersion

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

    def add(self, before: LabelVersion, after: LabelVersion, region_id: str) -> bool:
        """Count a region that both versions have in the same place; False if sizes differ."""
        first, second = before.classes(region_id), after.classes(region_id)
        if first.shape != second.shape:
            return False
        for key, where in shard_parts(first):
            name = f"{folder_name(region_id)}/{CLASSES}/{key}"
            # No file stands for the fill value everywhere: equal, where both have none.
            if before.hashes.get(name) == after.hashes.get(name):
                self.n_equal += 1
                self.equal_px += int(np.prod([part.stop - part.start for part in where]))
            else:
                self.n_decoded += 1
                self.matrix += count_classes(np.asarray(first[where]), np.asarray(second[where]))
        return True


def count_classes(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many pixels of each class became which, (4, 4)."""
    differ = before != after
    pairs = _ROW[before[differ]] * np.uint8(4) + _ROW[after[differ]]
    counts = np.bincount(pairs, minlength=16).reshape(4, 4).astype(np.int64)
    # What stayed is most of it, and quicker counted than sorted into pairs.
    for row, value in enumerate(PixelClass):
        counts[row, row] = np.count_nonzero(before == value) - counts[row].sum()
    return counts
