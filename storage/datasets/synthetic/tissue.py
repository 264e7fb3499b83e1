"""Everything in a section that is not a target cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from storage.datasets.synthetic.canvas import Ellipse, Paint, smooth_noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.datasets.synthetic.canvas import Canvas
    from storage.datasets.synthetic.organ import Organ

    Place = Callable[[], tuple[float, float]]

AREA_PX = 1024**2
"""Counts of an organ are means for this area."""
GLAND_DISTANCE_PX = 220
TURN = 2 * np.pi


def count(canvas: Canvas, mean: float) -> int:
    """Return how many of something a canvas holds, given the mean of an organ."""
    return int(canvas.rng.poisson(max(0.0, mean * canvas.n_px**2 / AREA_PX)))


def draw_stroma(canvas: Canvas, organ: Organ) -> None:
    """Paint fibres, and gaps that let the light through."""
    rng, n_px = canvas.rng, canvas.n_px
    broad, fine = smooth_noise(rng, n_px, (90, 90)), smooth_noise(rng, n_px, (26, 26))
    lying = np.sin(organ.fibre_angle) ** 2 < 0.5
    fibres = smooth_noise(rng, n_px, (5, 20) if lying else (20, 5))
    grain = smooth_noise(rng, n_px, (3, 3))
    relief = 1 + 0.22 * broad + 0.12 * fine + organ.fibres * fibres + 0.05 * grain
    canvas.eosin = np.maximum(0, organ.stroma * organ.eosin_strength * relief, dtype=np.float32)
    nuclear = 0.07 * organ.haematoxylin_strength * (1 + 0.3 * fine + 0.25 * grain)
    canvas.haematoxylin = np.maximum(0, nuclear, dtype=np.float32)
    openness = smooth_noise(rng, n_px, (120, 120)) + 0.25 * fine - (2.0 - 2.2 * organ.pallor)
    gaps = np.clip(openness * 3, 0, 1)
    canvas.eosin *= 1 - 0.93 * gaps
    canvas.haematoxylin *= 1 - 0.8 * gaps


def draw_fat(canvas: Canvas, organ: Organ) -> None:
    """Paint fat cells: large, white, without a visible nucleus."""
    for _ in range(count(canvas, organ.fat_cells)):
        (x, y), radius = canvas.anywhere(), canvas.rng.uniform(14, 30)
        width = radius * canvas.rng.uniform(0.8, 1)
        canvas.fill(Ellipse(x, y, radius, width, canvas.rng.uniform(0, 3), 0.04), Paint(0.01, 0.06))


def draw_fibroblasts(canvas: Canvas, organ: Organ) -> None:
    """Paint spindle nuclei along the fibres."""
    rng = canvas.rng
    ink = Paint(organ.nucleus * organ.haematoxylin_strength * 0.8, 0.3, 0.12)
    for _ in range(count(canvas, organ.fibroblasts)):
        x, y = canvas.anywhere()
        angle = organ.fibre_angle + rng.normal(0, 0.35)
        canvas.fill(Ellipse(x, y, rng.uniform(9, 15), rng.uniform(2, 3.5), angle, 0.05), ink)


def draw_capillaries(canvas: Canvas, organ: Organ) -> None:
    """Paint rings with a pale lumen and flat nuclei: they look like the target at a glance."""
    rng = canvas.rng
    wall = Paint(0.15 * organ.haematoxylin_strength, 0.6 * organ.eosin_strength, 0.1)
    ink = Paint(organ.nucleus * organ.haematoxylin_strength, 0.3, 0.15)
    for _ in range(count(canvas, organ.capillaries)):
        (x, y), radius = canvas.anywhere(), rng.uniform(8, 17)
        canvas.fill(Ellipse(x, y, radius + 2.5, radius + 2, 0, 0.04), wall)
        canvas.fill(Ellipse(x, y, radius, radius - 0.5, 0, 0.04), Paint(0.03, 0.08))
        for turn in rng.uniform(0, TURN, rng.integers(1, 4)):
            at_x, at_y = x + (radius + 1) * np.cos(turn), y + (radius + 1) * np.sin(turn)
            canvas.fill(Ellipse(at_x, at_y, 6, 2.2, turn + np.pi / 2, 0.04), ink)


def draw_glands(canvas: Canvas, organ: Organ, n_glands: int) -> list[tuple[float, float]]:
    """Paint glands that keep clear of each other; return their centres."""
    centres: list[tuple[float, float]] = []
    for _ in range(n_glands):
        for _ in range(10):
            x, y = canvas.anywhere()
            if is_clear_of(centres, x, y, GLAND_DISTANCE_PX):
                centres.append((x, y))
                _draw_gland(canvas, organ, x, y)
                break
    return centres


def is_clear_of(centres: list[tuple[float, float]], x: float, y: float, distance: float) -> bool:
    """Return whether a point keeps its distance from all centres."""
    return all((x - cx) ** 2 + (y - cy) ** 2 > distance**2 for cx, cy in centres)


def _draw_gland(canvas: Canvas, organ: Organ, x: float, y: float) -> None:
    """Paint a ring of tall cells with nuclei outside and goblets of mucus inside."""
    rng = canvas.rng
    a = rng.uniform(45, 95)
    b, angle, height = a * rng.uniform(0.6, 1), rng.uniform(0, np.pi), rng.uniform(16, 24)
    wall = Paint(0.12 * organ.haematoxylin_strength, 0.75 * organ.eosin_strength, 0.1)
    mucus = Paint(
        organ.vacuole_haematoxylin * organ.haematoxylin_strength,
        (organ.vacuole_eosin + 0.06) * organ.eosin_strength,
        0.2,
    )
    canvas.fill(Ellipse(x, y, a + height * 0.5, b + height * 0.5, angle, 0.03), wall)
    canvas.fill(Ellipse(x, y, a - height * 0.6, b - height * 0.6, angle, 0.05), Paint(0.03, 0.05))
    n_cells = int(np.pi * (a + b) / rng.uniform(9, 13))
    for turn in TURN * np.arange(n_cells) / n_cells + rng.normal(0, 0.03, n_cells):
        outward = np.arctan2(b * np.sin(turn), a * np.cos(turn)) + angle
        if rng.random() < organ.goblet:
            at = _on_ring((x, y), (a - height * 0.12, b - height * 0.12), turn, angle)
            canvas.fill(
                Ellipse(*at, height * 0.55, 5.5 * rng.uniform(0.9, 1.4), outward, 0.03), mucus
            )
        shift = height * 0.32 + rng.normal(0, 1.5)
        at = _on_ring((x, y), (a + shift, b + shift), turn, angle)
        ink = Paint(organ.nucleus * organ.haematoxylin_strength * rng.uniform(0.7, 1), 0.3, 0.15)
        shape = Ellipse(*at, rng.uniform(5.5, 7.5), rng.uniform(3.2, 4.6), outward, 0.05)
        canvas.fill(shape, ink)


def _on_ring(
    centre: tuple[float, float], axes: tuple[float, float], turn: float, angle: float
) -> tuple[float, float]:
    x, y = axes[0] * np.cos(turn), axes[1] * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    return float(centre[0] + x * cos - y * sin), float(centre[1] + x * sin + y * cos)


def draw_inflammation(canvas: Canvas, organ: Organ) -> None:
    """Paint lymphocytes and plasma cells, half of them in aggregates."""
    rng = canvas.rng
    aggregates = [canvas.anywhere() for _ in range(4)]

    def place() -> tuple[float, float]:
        if rng.random() >= 0.55:
            return canvas.anywhere()
        x, y = aggregates[rng.integers(4)]
        return x + rng.normal(0, 70), y + rng.normal(0, 70)

    _draw_lymphocytes(canvas, organ, place)
    _draw_plasma_cells(canvas, organ, place)


def _draw_lymphocytes(canvas: Canvas, organ: Organ, place: Place) -> None:
    rng = canvas.rng
    ink = Paint(organ.nucleus * organ.haematoxylin_strength * 1.1, 0.2, 0.2)
    for _ in range(count(canvas, organ.lymphocytes)):
        (x, y), radius = place(), rng.uniform(4.5, 7)
        width = radius * rng.uniform(0.85, 1)
        canvas.fill(Ellipse(x, y, radius, width, rng.uniform(0, 3), 0.03), ink)


def _draw_plasma_cells(canvas: Canvas, organ: Organ, place: Place) -> None:
    """Paint cells with the nucleus at one side, like the target, but a dark body."""
    rng = canvas.rng
    body = Paint(0.28 * organ.haematoxylin_strength, 0.6 * organ.eosin_strength, 0.12)
    ink = Paint(organ.nucleus * organ.haematoxylin_strength * 1.05, 0.25, 0.3)
    for _ in range(count(canvas, organ.plasma_cells)):
        (x, y), radius, turn = place(), rng.uniform(8.5, 12.5), rng.uniform(0, TURN)
        canvas.fill(Ellipse(x, y, radius * 1.1, radius * 0.85, turn, 0.04), body)
        at_x, at_y = x + np.cos(turn) * radius * 0.45, y + np.sin(turn) * radius * 0.45
        canvas.fill(Ellipse(at_x, at_y, radius * 0.5, radius * 0.48, 0, 0.03), ink)


def draw_foamy_cells(canvas: Canvas, organ: Organ) -> None:
    """Paint macrophages: as large and pale as the target, but with the nucleus in the middle."""
    rng = canvas.rng
    dark, pink = organ.haematoxylin_strength, organ.eosin_strength
    body = Paint(0.10 * dark, organ.rim_eosin * pink, 0.1)
    foam = Paint(organ.vacuole_haematoxylin * dark + 0.04, (organ.vacuole_eosin + 0.08) * pink, 0.4)
    ink = Paint(organ.nucleus * dark * 0.85, 0.25, 0.25)
    for _ in range(count(canvas, organ.foamy_cells)):
        (x, y), radius = canvas.anywhere(), organ.target_radius * rng.uniform(0.75, 1.15)
        first, second, third = rng.uniform(0, 3, 3)
        canvas.fill(Ellipse(x, y, radius * 1.08, radius * 0.95, first, 0.05), body)
        canvas.fill(Ellipse(x, y, radius * 0.95, radius * 0.83, second, 0.05), foam)
        at_x, at_y = (x, y) + rng.normal(0, 0.1, 2) * radius
        canvas.fill(Ellipse(at_x, at_y, radius * 0.36, radius * 0.3, third, 0.05), ink)
