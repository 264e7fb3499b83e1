"""Outlines as rings of points that every tool accepts: simple, without touching themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def without_repeats(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a ring (n, 2) without points that repeat the one before, its closing one included."""
    if len(ring) == 0:
        return ring
    moved = (ring != np.roll(ring, 1, axis=0)).any(axis=1)
    return ring[moved] if moved.any() else ring[:1]


def run_along(first: NDArray[np.float64], second: NDArray[np.float64], within: float) -> bool:
    """Return whether no point of either ring (n, 2) lies farther from the other's line than that.

    Programs begin a ring at another point, turn it round, leave out points on straight sides and
    round what is left: then points differ, and the line does not.
    """
    if not len(first) or not len(second):
        return len(first) == len(second)
    limits = [np.concatenate([one.min(axis=0), one.max(axis=0)]) for one in (first, second)]
    if np.abs(limits[0] - limits[1]).max() > within:
        return False
    return _is_near(first, second, within) and _is_near(second, first, within)


_POINTS_AT_ONCE = 256


def _is_near(points: NDArray[np.float64], ring: NDArray[np.float64], within: float) -> bool:
    """Return whether all points (m, 2) lie that near to the sides of a ring (n, 2)."""
    side = np.roll(ring, -1, axis=0) - ring
    length = np.maximum((side * side).sum(axis=1), np.finfo(np.float64).tiny)
    for start in range(0, len(points), _POINTS_AT_ONCE):
        away = points[start : start + _POINTS_AT_ONCE, None] - ring[None]
        along = np.clip((away * side).sum(axis=2) / length, 0, 1)
        gaps = away - along[..., None] * side
        if ((gaps * gaps).sum(axis=2).min(axis=1) > within * within).any():
            return False
    return True


def is_simple(ring: NDArray[np.float64]) -> bool:
    """Return whether a ring (n, 2), not closed, has an area and meets itself nowhere.

    This is what JTS, and with it QuPath, calls valid: no two sides cross, no point comes twice, no
    point lies on another side, no side folds back onto the one before it.
    """
    if len(ring) < 3 or ring_area(ring) == 0 or len(np.unique(ring, axis=0)) < len(ring):
        return False
    # A side that folds back has an end on the one before, where a third side begins.
    return not any(_meet(ring, first, second).any() for first, second in _near_sides(ring))


_PAIRS_AT_ONCE = 1 << 18


def _near_sides(ring: NDArray[np.float64]) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the pairs of sides that share a part of the x axis, some of them at a time."""
    end = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring, end)[:, 0], np.maximum(ring, end)[:, 0]
    order = np.argsort(low, kind="stable")
    # In the order of their left ends, a side overlaps the next ones up to its own right end.
    n_after = np.searchsorted(low[order], high[order], side="right") - np.arange(len(ring)) - 1
    total = np.cumsum(n_after)
    first = 0
    while first < len(ring):
        done = total[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(total, done + _PAIRS_AT_ONCE, side="right")))
        counts = n_after[first:last]
        one = np.repeat(np.arange(first, last), counts)
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        other = one + 1 + np.arange(len(one)) - starts
        yield order[one], order[other]
        first = last


def _meet(
    ring: NDArray[np.float64], first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Return which pairs of sides share a point, those that follow each other left out."""
    gap = np.abs(first - second)
    apart = (gap > 1) & (gap < len(ring) - 1)
    first, second = first[apart], second[apart]
    following = np.roll(ring, -1, axis=0)
    a, b, c, d = ring[first], following[first], ring[second], following[second]
    low = np.maximum(np.minimum(a, b), np.minimum(c, d))
    high = np.minimum(np.maximum(a, b), np.maximum(c, d))
    near = (low <= high).all(axis=1)
    a, b, c, d = a[near], b[near], c[near], d[near]
    # The ends of each lie on different sides of the other, or on it.
    return (_turn(a, b, c) * _turn(a, b, d) <= 0) & (_turn(c, d, a) * _turn(c, d, b) <= 0)


def _turn(
    a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sign of the turn from a over b to c."""
    along, beyond = b - a, c - a
    cross: NDArray[np.float64] = along[..., 0] * beyond[..., 1] - along[..., 1] * beyond[..., 0]
    return np.sign(cross)
