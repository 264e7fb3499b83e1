"""Which sections lie where on a made-up slide, and the cells in them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.annotations import Role
from models.geometry.tiles import Window, placed
from storage.datasets.synthetic.annotate import annotated
from storage.datasets.synthetic.organ import make_organ
from storage.datasets.synthetic.regions import draw_region

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from storage.datasets.synthetic.settings import SyntheticSettings

GLASS = 243
"""Grey value of the empty slide."""
GLASS_NOISE = 2.0
RIGHT_MARGIN_PX = 256
ORGANS_PER_SEED = 100


@dataclass(frozen=True, slots=True)
class SlidePlan:
    """One slide to make."""

    name: str
    organ: int
    slide: int
    """Its number within the organ; its stain and mixture of cells follow from it."""
    roles: tuple[Role, ...]
    """Of its sections, from left to right."""
    window_px: int

    @property
    def rest(self) -> Role:
        """Return what is known of tissue outside the annotated sections."""
        return Role.NEGATIVE if Role.NEGATIVE in self.roles else Role.UNLABELLED

    @property
    def width(self) -> int:
        """Return the width of level 0: sections alternate with empty glass."""
        return 2 * len(self.roles) * self.window_px + RIGHT_MARGIN_PX

    @property
    def height(self) -> int:
        """Return the height of level 0."""
        return 2 * self.window_px + RIGHT_MARGIN_PX

    def window(self, section: int) -> Window:
        """Return where a section lies, on a grid of its own size."""
        x0, side = (2 * section + 1) * self.window_px, self.window_px
        return Window(x0, side, x0 + side, 2 * side)


@dataclass(frozen=True, slots=True)
class DrawnSlide:
    """A slide's pixels and cells."""

    image: NDArray[np.uint8]
    ids: tuple[str, ...]
    """Of the cells: UUIDs, as QuPath asks, that follow from slide and number."""
    boxes: NDArray[np.float64]
    """(n, 4) in level-0 pixels."""
    marked: NDArray[np.bool_]
    """(n,) whether the annotator saw the cell."""


def plan(settings: SyntheticSettings) -> Iterator[SlidePlan]:
    """Yield the slides of a dataset, organ by organ."""
    annotated_roles = (Role.POSITIVE,) * settings.positive_windows
    positive = annotated_roles + (Role.UNLABELLED,) * settings.unlabelled_windows
    negative = (Role.NEGATIVE,) * settings.negative_windows
    kinds = [("positive", positive)] * settings.positive_slides
    kinds += [("negative", negative)] * settings.negative_slides
    for organ in range(settings.organs):
        for slide, (kind, roles) in enumerate(kinds):
            name = f"organ{organ:02d}-slide{slide:02d}-{kind}"
            yield SlidePlan(name, organ, slide, roles, settings.window_px)


def draw_slide(one: SlidePlan, settings: SyntheticSettings) -> DrawnSlide:
    """Return the pixels and cells of a slide."""
    rng = np.random.default_rng([settings.seed, one.organ, one.slide, 11])
    organ = make_organ(settings.seed * ORGANS_PER_SEED + one.organ)
    image = _glass(one, rng)
    boxes, marks = [np.zeros((0, 4))], [np.zeros(0, np.bool_)]
    for section, role in enumerate(one.roles):
        positive = role is not Role.NEGATIVE
        tissue, found = draw_region(organ, one.slide, one.window_px, positive, section)
        window = one.window(section)
        image[window.y0 : window.y1, window.x0 : window.x1] = tissue
        boxes.append(placed(window, 1.0).boxes_to_level0(found))
        rate = settings.annotation_rate if role is Role.POSITIVE else 0.0
        marks.append(annotated(found, rate, rng))
    joined = np.concatenate(boxes)
    prefix = f"signetflow/{settings.seed}/{one.name}"
    ids = tuple(str(uuid.uuid5(uuid.NAMESPACE_URL, f"{prefix}/{i}")) for i in range(len(joined)))
    return DrawnSlide(image, ids, joined, np.concatenate(marks))


def _glass(one: SlidePlan, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return empty glass with a little dust, tiled from one noisy piece."""
    piece = np.clip(GLASS + rng.normal(0, GLASS_NOISE, (256, 256, 3)), 0, 255).astype(np.uint8)
    rows, columns = -(-one.height // 256), -(-one.width // 256)
    return np.ascontiguousarray(np.tile(piece, (rows, columns, 1))[: one.height, : one.width])
