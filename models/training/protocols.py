"""Where training reads its regions and keeps its state; storage implements both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from models.annotations import Role


class RegionSource(Protocol):
    """The regions of one training with their labels; read from one thread at a time."""

    def __len__(self) -> int:
        """Return how many regions there are."""
        ...

    def shape(self, index: int) -> tuple[int, int]:
        """Return height and width of a region, in working pixels."""
        ...

    def role(self, index: int) -> Role:
        """Return what is known of the region's cells."""
        ...

    def read(
        self, index: int, y0: int, x0: int, height: int, width: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return image (height, width, 3) RGB and classes (height, width) of a part inside."""
        ...

    def centres(self, index: int) -> NDArray[np.int64]:
        """Return (n, 2) y, x of the labelled cells, in working pixels."""
        ...


class StateSink(Protocol):
    """Keeps the latest state of one training."""

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return what was saved last, or None."""
        ...

    def save(self, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
        """Replace what was saved, all or nothing. Called from a thread of its own."""
        ...
