"""What prediction reads from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class BlockSource(Protocol):
    """One region, read block by block. Called from one thread at a time, not always the same.

    A source that also has ``place``, y and x of its first pixel on the slide in working pixels, is
    seen as the same pixels are in any other source of that slide.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in working pixels."""
        ...

    def read(self, y0: int, x0: int, height: int, width: int) -> NDArray[np.uint8]:
        """Return the RGB block (height, width, 3), which lies inside the region."""
        ...
