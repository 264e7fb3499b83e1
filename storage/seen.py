"""What a network that is being validated saw so far, kept through a kill."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from storage.arrays import folder_name, save_array
from storage.parts import Parts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FOUND = "found.npy"


@dataclass(slots=True)
class SeenRegions:
    """What a network that is being validated found in each region so far.

    Implements the `RegionMemory` protocol of validation.
    """

    folder: Path
    _parts: Parts | None = None

    def begin(self, weights: str) -> None:
        """Forget what a network of other weights saw."""
        own = self.folder / weights
        for other in self.folder.glob("*"):
            if other != own:
                shutil.rmtree(other, ignore_errors=True)
        self._parts = Parts(own)

    def recall(self, region_id: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return boxes and scores that were kept of a region, or None."""
        name = folder_name(region_id)
        if self._parts is None or self._parts.take_over(name) is None:
            return None
        found = np.load(self._parts.folder / name / FOUND, allow_pickle=False)
        return found[:, :4], found[:, 4]

    def keep(self, region_id: str, boxes: NDArray[np.float64], scores: NDArray[np.float64]) -> None:
        """Keep what was found in a region."""
        if self._parts is None:
            raise AssertionError("what is kept is of a network: begin with its weights")
        with self._parts.writing(folder_name(region_id), {}) as folder:
            save_array(folder / FOUND, np.column_stack([boxes, scores]).astype(np.float64))
