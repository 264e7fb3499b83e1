"""How organs differ from each other, and slides of one organ among themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
EOSIN = np.array([0.14, 0.93, 0.28])
"""Optical density in red, green and blue of the two stains (Ruifrok and Johnston 2001, rounded)."""


@dataclass(frozen=True, slots=True)
class Organ:
    """The look of one organ's tissue. Counts are means per 1024 x 1024 px, lengths are in px."""

    seed: int
    haematoxylin: NDArray[np.float64]
    """(3,) optical density of the nuclear stain, of length 1."""
    eosin: NDArray[np.float64]
    haematoxylin_strength: float
    eosin_strength: float

    stroma: float
    """Eosin of the tissue between cells."""
    fibres: float
    """Contrast of its fibres."""
    fibre_angle: float
    pallor: float
    """How far tissue opens into white gaps."""

    target_radius: float
    """Mean radius of a signet ring cell."""
    target_spread: float
    """Standard deviation of the radius' logarithm."""
    vacuole_eosin: float
    vacuole_haematoxylin: float
    vacuole_size: float
    """Of the cell."""
    rim_eosin: float
    crescent: float
    """How far the vacuole pushes the nucleus aside, of the radius."""
    nucleus: float
    """Haematoxylin of nuclei."""
    elongation: float
    irregularity: float
    crowding: float
    """The fraction of target cells that lie in clusters."""

    glands: float
    goblet: float
    """The fraction of a gland's cells that hold mucus."""
    lymphocytes: float
    plasma_cells: float
    foamy_cells: float
    fat_cells: float
    fibroblasts: float
    capillaries: float


def make_organ(seed: int) -> Organ:
    """Return the organ of a seed; the same seed is the same organ."""
    rng = np.random.default_rng([seed, 1000])
    haematoxylin = HAEMATOXYLIN + rng.normal(0, 0.045, 3)
    eosin = np.abs(EOSIN + rng.normal(0, 0.06, 3) * (1, 0.5, 1))
    return Organ(
        seed=seed,
        haematoxylin=haematoxylin / np.linalg.norm(haematoxylin),
        eosin=eosin / np.linalg.norm(eosin),
        haematoxylin_strength=rng.uniform(0.8, 1.25),
        eosin_strength=rng.uniform(0.65, 1.25),
        stroma=rng.uniform(0.3, 0.6),
        fibres=rng.uniform(0.1, 0.4),
        fibre_angle=rng.uniform(0, np.pi),
        target_radius=rng.uniform(13, 22),
        target_spread=rng.uniform(0.10, 0.22),
        vacuole_eosin=rng.uniform(0.03, 0.30),
        vacuole_haematoxylin=rng.uniform(0, 0.16),
        rim_eosin=rng.uniform(0.3, 0.65),
        vacuole_size=rng.uniform(0.74, 0.92),
        crescent=rng.uniform(0.16, 0.34),
        nucleus=rng.uniform(0.8, 1.35),
        elongation=rng.uniform(1.05, 1.35),
        irregularity=rng.uniform(0.02, 0.07),
        crowding=rng.uniform(0.25, 0.8),
        glands=float(rng.integers(1, 6)),
        goblet=rng.uniform(0, 0.6),
        lymphocytes=rng.uniform(60, 350),
        plasma_cells=rng.uniform(15, 90),
        foamy_cells=rng.uniform(5, 35),
        fat_cells=rng.uniform(0, 12),
        fibroblasts=rng.uniform(80, 260),
        capillaries=rng.uniform(3, 14),
        pallor=rng.uniform(0.0, 0.25),
    )


SLIDE_SPREAD = {
    "haematoxylin_strength": 0.08,
    "eosin_strength": 0.08,
    "stroma": 0.1,
    "target_radius": 0.05,
    "vacuole_eosin": 0.15,
    "rim_eosin": 0.1,
    "nucleus": 0.08,
    "lymphocytes": 0.3,
    "plasma_cells": 0.3,
    "foamy_cells": 0.3,
    "fibroblasts": 0.2,
    "capillaries": 0.3,
    "crowding": 0.15,
}
"""Standard deviation, between slides of one organ, of each value's logarithm."""


def on_slide(organ: Organ, slide_seed: int) -> Organ:
    """Return the organ as one slide shows it: stained a little differently, other patients."""
    rng = np.random.default_rng([organ.seed, slide_seed, 7])
    changed = {
        name: getattr(organ, name) * float(np.exp(rng.normal(0, spread)))
        for name, spread in SLIDE_SPREAD.items()
    }
    haematoxylin, eosin = _restained(organ.haematoxylin, rng), _restained(organ.eosin, rng)
    return replace(organ, haematoxylin=haematoxylin, eosin=eosin, **changed)


def _restained(stain: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    moved = np.abs(stain + rng.normal(0, 0.015, 3))
    return np.asarray(moved / np.linalg.norm(moved), np.float64)
