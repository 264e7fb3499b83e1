"""One square of tissue, with the boxes of its target cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from storage.datasets.synthetic.canvas import Canvas
from storage.datasets.synthetic.cells import draw_targets
from storage.datasets.synthetic.organ import on_slide
from storage.datasets.synthetic.tissue import (
    count,
    draw_capillaries,
    draw_fat,
    draw_fibroblasts,
    draw_foamy_cells,
    draw_glands,
    draw_inflammation,
    draw_stroma,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from storage.datasets.synthetic.organ import Organ


def draw_region(
    organ: Organ, slide_seed: int, n_px: int, positive: bool, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return a picture of tissue and the boxes of all its signet ring cells.

    Parameters
    ----------
    organ : Organ
        From `make_organ`.
    slide_seed : int
        Regions of one slide share their stain and mixture of cells.
    n_px : int
        Side, in pixels of 0.25 micrometres.
    positive : bool
        Without it there are no target cells, and more glands.
    seed : int
        Of this region.

    Returns
    -------
    image : (n, n, 3) uint8 RGB
    boxes : (m, 4) float64, ``x0, y0, x1, y1``
    """
    look = on_slide(organ, slide_seed)
    canvas = Canvas(n_px, np.random.default_rng([organ.seed, slide_seed, seed]))
    draw_stroma(canvas, look)
    draw_fat(canvas, look)
    draw_fibroblasts(canvas, look)
    n_glands = count(canvas, look.glands * 0.5 if positive else look.glands * 1.5 + 1)
    glands = draw_glands(canvas, look, n_glands)
    draw_capillaries(canvas, look)
    draw_inflammation(canvas, look)
    draw_foamy_cells(canvas, look)
    boxes = draw_targets(canvas, look, glands) if positive else np.zeros((0, 4))
    return canvas.picture(look), boxes
