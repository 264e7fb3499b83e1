"""Outlines as rings of points that every tool accepts: simple, without touching themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ring_area(ring: NDArray[np.float64]) -> float:
    """Return the area that a simple ring (n, 2) encloses, in whichever way it turns."""
    x, y = ring[:, 0], ring[:, 1]
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def ellipse_ring(box: NDArray[np.float64], n_points: int = 32) -> NDArray[np.float64]:
    """Return (n_points, 2) points ``x, y`` on the ellipse inscribed in a box."""
    angle = 2 * np.pi * np.arange(n_points) / n_points
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * half + centre


def untouching(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest loop of a ring that comes to the same point more than once.

    The outline of pixels that meet only at a corner passes that corner twice. JTS, and with it
    QuPath, calls such a ring invalid.

    Parameters
    ----------
    ring : (n, 2) float64
        Points ``x, y``; may be closed by its first point.
    """
    loops: list[list[tuple[float, float]]] = []
    path: list[tuple[float, float]] = []
    position: dict[tuple[float, float], int] = {}
    for point in map(tuple, ring.tolist()):
        if point in position:
            start = position[point]
            loops.append(path[start:])
            for passed in path[start + 1 :]:
                del position[passed]
            del path[start + 1 :]
        else:
            position[point] = len(path)
            path.append(point)
    loops.append(path)
    rings = [np.array(loop, np.float64).reshape(-1, 2) for loop in loops]
    return max(rings, key=lambda one: ring_area(one) if len(one) else 0.0)


def crosses_itself(ring: NDArray[np.float64]) -> bool:
    """Return whether two sides of a ring (n, 2) without repeated points cross."""
    if len(ring) < 4:
        return False
    start, end = ring, np.roll(ring, -1, axis=0)
    # Sides (i, j) cross if the ends of each lie on different sides of the other.
    of_start = _turn(start[:, None], end[:, None], start[None])
    of_end = _turn(start[:, None], end[:, None], end[None])
    apart = of_start * of_end < 0
    return bool((apart & apart.T).any())


def _turn(
    a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sign of the turn from a over b to c."""
    along, beyond = b - a, c - a
    cross: NDArray[np.float64] = along[..., 0] * beyond[..., 1] - along[..., 1] * beyond[..., 0]
    return np.sign(cross)
