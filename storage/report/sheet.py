"""The crops of a report as one picture, for where a page cannot be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from storage.report.overlays import draw, png_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from storage.report.model import CropStory

GAP_PX = 8


def contact_sheet(stories: Sequence[CropStory]) -> bytes:
    """Return a PNG: one row for each piece of tissue, one column for each round.

    Raises
    ------
    ValueError
        If there is no story to show.
    """
    if not stories:
        raise ValueError("a contact sheet needs at least one story")
    rows = [_beside([draw(story.image, panel) for panel in story.panels]) for story in stories]
    width = max(row.shape[1] for row in rows)
    return png_bytes(np.concatenate([_padded(row, width) for row in rows]))


def _beside(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height = pictures[0].shape[0]
    gap = np.full((height, GAP_PX, 3), 255, np.uint8)
    return np.concatenate([part for one in pictures for part in (one, gap)], axis=1)


def _padded(row: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    sides = ((0, GAP_PX), (0, width - row.shape[1]), (0, 0))
    return np.pad(row, sides, constant_values=255)
