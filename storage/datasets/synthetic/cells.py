"""Signet ring cells: a pale vacuole that presses the nucleus into a crescent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from storage.datasets.synthetic.canvas import Ellipse, Patch, coverage, radius_of
from storage.datasets.synthetic.tissue import is_clear_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from storage.datasets.synthetic.canvas import Canvas
    from storage.datasets.synthetic.organ import Organ

CELLS_PER_MEGAPIXEL = (110, 170)
TOUCHING = 0.86
"""Two cells may come as near as this fraction of their radii."""
BORDER_PX = 4
MINIMUM_BOX_PX = 8
GLAND_MARGIN_PX = 105


def draw_targets(
    canvas: Canvas, organ: Organ, glands: list[tuple[float, float]]
) -> NDArray[np.float64]:
    """Paint the target cells of a canvas outside its glands; return their boxes, (n, 4)."""
    drawn = [_draw_target(canvas, organ, *cell) for cell in _places(canvas, organ, glands)]
    boxes = [box for box in drawn if box is not None]
    return np.array(boxes, np.float64).reshape(-1, 4)


def _places(
    canvas: Canvas, organ: Organ, glands: list[tuple[float, float]]
) -> list[tuple[float, float, float]]:
    """Return x, y and radius of cells that touch but hardly overlap."""
    rng, n_px = canvas.rng, canvas.n_px
    megapixels = n_px**2 / 1024**2
    wanted = int(rng.uniform(*CELLS_PER_MEGAPIXEL) * megapixels)
    clusters = _clusters(canvas, max(1, int(rng.integers(4, 8) * megapixels)))
    found = np.zeros((wanted, 3))
    n_found = 0
    for _ in range(wanted * 25):
        if n_found == wanted:
            break
        x, y = _near(canvas, clusters) if rng.random() < organ.crowding else canvas.anywhere()
        radius = np.clip(organ.target_radius * np.exp(rng.normal(0, organ.target_spread)), 10, 30)
        inside = min(x, y) > BORDER_PX and max(x, y) < n_px - BORDER_PX
        if not inside or not is_clear_of(glands, x, y, GLAND_MARGIN_PX):
            continue
        others = found[:n_found]
        distance = np.hypot(others[:, 0] - x, others[:, 1] - y)
        if (distance >= TOUCHING * (others[:, 2] + radius)).all():
            found[n_found] = x, y, radius
            n_found += 1
    return [(float(x), float(y), float(radius)) for x, y, radius in found[:n_found]]


def _clusters(canvas: Canvas, n_clusters: int) -> NDArray[np.float64]:
    """Return x, y and spread of the clusters, (n, 3)."""
    middle = canvas.rng.uniform(0.08, 0.92, (n_clusters, 2)) * canvas.n_px
    return np.column_stack([middle, canvas.rng.uniform(50, 110, n_clusters)])


def _near(canvas: Canvas, clusters: NDArray[np.float64]) -> tuple[float, float]:
    x, y, spread = clusters[canvas.rng.integers(len(clusters))]
    return float(x + canvas.rng.normal(0, spread)), float(y + canvas.rng.normal(0, spread))


def _draw_target(
    canvas: Canvas, organ: Organ, x: float, y: float, radius: float
) -> tuple[int, int, int, int] | None:
    """Paint one cell; return the box of what is seen of it, None where that is too little."""
    rng = canvas.rng
    longer = np.sqrt(1 + abs(rng.normal(0, organ.elongation - 1)))
    angle = rng.uniform(0, np.pi)
    shape = Ellipse(x, y, radius * longer, radius / longer, angle, organ.irregularity)
    patch = canvas.patch(x, y, shape.a * 1.25 + 2)
    if patch is None:
        return None
    outline = radius_of(patch, shape, rng)
    body = coverage(outline, shape.b)
    rim = organ.rim_eosin * organ.eosin_strength * (1 + 0.12 * canvas.grain(patch))
    canvas.blend(patch, body, 0.10 * organ.haematoxylin_strength, rim)
    turn = rng.uniform(0, 2 * np.pi)
    push = organ.crescent * radius * rng.uniform(0.7, 1.3)
    _draw_vacuole(canvas, organ, patch, shape, (turn, push, body))
    _draw_crescent(canvas, organ, patch, shape, (turn, push, outline))
    return _box_of(patch, body > 0.5)


def _draw_vacuole(
    canvas: Canvas,
    organ: Organ,
    patch: Patch,
    shape: Ellipse,
    cell: tuple[float, float, NDArray[np.float32]],
) -> None:
    """Paint the mucus, on the side away from the nucleus and within the body (the last of cell)."""
    rng = canvas.rng
    turn, push, body = cell
    strength = float(np.exp(rng.normal(0, 0.25)))
    size = min(0.95, organ.vacuole_size * rng.uniform(0.92, 1.06))
    smooth = Ellipse(shape.x, shape.y, shape.a * size, shape.b * size, shape.angle)
    away = -np.cos(turn) * push * 0.55, -np.sin(turn) * push * 0.55
    alpha = coverage(radius_of(patch, smooth, rng, away), smooth.b, 2.5) * body
    canvas.blend(
        patch,
        alpha,
        organ.vacuole_haematoxylin
        * organ.haematoxylin_strength
        * strength
        * (1 + 0.3 * canvas.grain(patch)),
        organ.vacuole_eosin * organ.eosin_strength * strength * (1 + 0.3 * canvas.grain(patch)),
    )


def _draw_crescent(
    canvas: Canvas,
    organ: Organ,
    patch: Patch,
    shape: Ellipse,
    cell: tuple[float, float, NDArray[np.float32]],
) -> None:
    """Paint the nucleus: what a disc that is shifted leaves of the outline (the last of cell)."""
    turn, push, outline = cell
    disc = Ellipse(shape.x, shape.y, shape.a * 0.93, shape.b * 0.93, shape.angle)
    away = -np.cos(turn) * push, -np.sin(turn) * push
    hole = coverage(radius_of(patch, disc, canvas.rng, away), disc.b / 0.93, 2.0)
    along = patch.xx * np.float32(np.cos(turn)) + patch.yy * np.float32(np.sin(turn))
    radius = np.float32(np.sqrt(shape.a * shape.b))
    side = np.clip(along / radius * 3 - np.float32(0.6), 0, 1)
    whole = coverage(outline * np.float32(1.03), shape.b)
    alpha = np.asarray(whole * (1 - hole) * side, np.float32)
    ink = organ.nucleus * organ.haematoxylin_strength * (1 + 0.15 * canvas.grain(patch))
    canvas.blend(patch, alpha, ink, 0.25 * organ.eosin_strength)


def _box_of(patch: Patch, seen: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if min(len(rows), len(columns)) <= MINIMUM_BOX_PX:
        return None
    y0, x0 = patch.rows.start, patch.columns.start
    return (
        int(x0 + columns[0]),
        int(y0 + rows[0]),
        int(x0 + columns[-1]) + 1,
        int(y0 + rows[-1]) + 1,
    )
