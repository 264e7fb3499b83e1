"""Regions in memory and a sink in memory."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from models.annotations import Role


@dataclass
class ArrayRegions:
    """A RegionSource over arrays."""

    images: list[Any]
    classes: list[Any]
    roles: list[Role]

    def __len__(self):
        return len(self.images)

    def shape(self, index):
        return self.classes[index].shape

    def role(self, index):
        return self.roles[index]

    def read(self, index, y0, x0, height, width):
        part = slice(y0, y0 + height), slice(x0, x0 + width)
        assert self.classes[index][part].shape == (height, width), "a read left the region"
        return self.images[index][part], self.classes[index][part]

    def centres(self, index):
        rows, columns = np.nonzero(self.classes[index] == 2)
        return np.stack([rows, columns], axis=1)[::37]


@dataclass
class MemorySink:
    """A StateSink that keeps the last state."""

    state: tuple[Any, Any] | None = None
    steps: list[int] = field(default_factory=list)

    def load(self):
        return self.state

    def save(self, tensors, card):
        self.steps.append(card["step"])
        self.state = tensors, card


def draw(role, shape, seed):
    """Dark rings with pale middles on pink, one per 900 pixels; none in a negative region."""
    random = np.random.default_rng(seed)
    classes = np.zeros(shape, np.uint8)
    n_cells = 0 if role == Role.NEGATIVE else shape[0] * shape[1] // 900
    for _ in range(n_cells):
        y, x = random.integers(7, shape[0] - 7), random.integers(7, shape[1] - 7)
        classes[y - 7 : y + 7, x - 7 : x + 7] = 1
        classes[y - 5 : y + 5, x - 5 : x + 5] = 2
    colours = np.array([[220, 160, 200], [90, 40, 120], [240, 230, 240]])
    noise = random.normal(0, 12, (*shape, 3))
    return np.clip(colours[classes] + noise, 0, 255).astype(np.uint8), classes


@pytest.fixture
def regions():
    """Return a function from roles to regions of 96 x 80 pixels."""

    def make(*roles, shape=(96, 80)):
        drawn = [draw(role, shape, seed) for seed, role in enumerate(roles)]
        return ArrayRegions([i for i, _ in drawn], [c for _, c in drawn], list(roles))

    return make


@pytest.fixture
def sink():
    return MemorySink()
