"""Small random scenes; coordinates and scores are whole steps, so that ties happen."""

import numpy as np
import pytest

from models.annotations import Role
from models.metrics.matching import ImageCells


def draw_boxes(rng, n):
    corner = rng.integers(0, 60, (n, 2))
    return np.hstack([corner, corner + rng.integers(4, 25, (n, 2))]).astype(np.float64)


def draw_image(rng, name, slide, role, *, complete):
    cells = draw_boxes(rng, int(rng.integers(0, 9)) if role is Role.POSITIVE else 0)
    near = cells[rng.random(len(cells)) < 0.7] + rng.integers(-2, 3, 4)
    predicted = np.vstack([near, draw_boxes(rng, int(rng.integers(0, 9)))])
    scores = rng.integers(1, 12, len(predicted)) / 12
    return ImageCells(name, slide, role, complete, cells, predicted, scores)


@pytest.fixture(scope="session")
def draw_scene():
    """Return what draws 5 to 14 images on fewer slides, with an annotated cell on slide p0."""

    def draw(seed, *, complete=False, prefix=""):
        rng = np.random.default_rng(seed)
        n_positive, n_negative = int(rng.integers(3, 8)), int(rng.integers(1, 6))
        box = np.array([[0.0, 0, 10, 10]])
        slide = f"{prefix}p0"
        images = [ImageCells(f"{prefix}s", slide, Role.POSITIVE, complete, box, box, np.ones(1))]
        for k in range(n_positive):
            slide = f"{prefix}p{rng.integers(0, n_positive)}"
            images.append(draw_image(rng, f"{prefix}p{k}", slide, Role.POSITIVE, complete=complete))
        for k in range(n_negative):
            slide = f"{prefix}n{rng.integers(0, n_negative)}"
            images.append(draw_image(rng, f"{prefix}n{k}", slide, Role.NEGATIVE, complete=complete))
        return images

    return draw
