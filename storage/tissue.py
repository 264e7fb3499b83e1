"""Where on a slide there is tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.errors import SlideError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.geometry.tiles import Window
    from storage.slides import Slide

OVERVIEW_DOWNSAMPLE = 8
OVERVIEW_PX = (256, 2048)
"""The overview is this coarse, unless that makes it smaller or larger than the limits."""
STAIN_LIMITS = (0.04, 0.12)
"""Otsu's threshold is kept within: without glass it would part dark from pale tissue, without
tissue glass from dust. In units of optical density; pale eosin has about 0.15."""
BRIGHT_FIELD = 100
"""The brightest percent of a slide that is lit from below is at least this grey."""
BLUR_PX = 1.5
CLOSING_PX = 9
"""Lumina and gaps smaller than this belong to the tissue."""
OPENING_PX = 3


class TissueMap:
    """The tissue of one slide, on an overview.

    Raises
    ------
    SlideError
        If the slide is dark, as fluorescence is: stain cannot be told from background there.
    """

    def __init__(self, slide: Slide) -> None:
        image, self._downsample = slide.overview(overview_px(slide))
        brightest = float(np.percentile(image.max(axis=2), 99))
        if brightest < BRIGHT_FIELD:
            raise SlideError(
                f"{slide.name}: its brightest parts have grey value {brightest:.0f}, expected at "
                f"least {BRIGHT_FIELD}: this is fluorescence or a damaged scan, not stained tissue "
                f"in transmitted light. Leave it out."
            )
        self.mask = tissue_of(image)
        """(h, w) bool, on the overview."""

    def fraction(self, window: Window) -> float:
        """Return how much of a window of level-0 pixels is tissue, 0 to 1."""
        edges = np.array([window.y0, window.y1, window.x0, window.x1]) / self._downsample
        y0, y1, x0, x1 = np.round(edges).astype(int)
        part = self.mask[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        return float(part.mean()) if part.size else 0.0


def overview_px(slide: Slide) -> int:
    """Return the longest side of the overview on which tissue is looked for."""
    return int(np.clip(max(slide.width, slide.height) // OVERVIEW_DOWNSAMPLE, *OVERVIEW_PX))


def tissue_of(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where an overview (h, w, 3) shows stain, (h, w).

    Stain is colour in optical density: glass, shadows and pencil are grey. The threshold is
    Otsu's (1979), within `STAIN_LIMITS`.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), BLUR_PX)
    density = -np.log(np.maximum(smooth, 1).astype(np.float32) / 255)
    colour = density.max(axis=2) - density.min(axis=2)
    as_bytes = np.clip(colour * 255, 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(as_bytes, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    stained = (colour > np.clip(otsu / 255, *STAIN_LIMITS)).astype(np.uint8)
    for how, side in ((cv2.MORPH_CLOSE, CLOSING_PX), (cv2.MORPH_OPEN, OPENING_PX)):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        stained = np.asarray(cv2.morphologyEx(stained, how, kernel), np.uint8)
    return np.asarray(stained, np.bool_)
