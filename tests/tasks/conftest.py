"""What stages are given, and what they would have found if networks were perfect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.annotations import Detections, Polygons, Role
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.runtime import resolve
from storage.datasets.splits import Part
from storage.detections import DetectionDraft, FoundMasks
from storage.parts import Parts
from storage.regions import open_regions
from tasks.network import DetectorRecipe, DetectorSettings
from tasks.train import Beginning, Recipe, train
from tasks.trial import ANNOTATED, Selection, Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.layout import Ref
    from tasks.stage import Run

TRIAL = Trial("hard", 0, 0)


def select(part: Part, *roles: Role) -> Selection:
    return Selection(TRIAL, part, roles or ANNOTATED)


@pytest.fixture(scope="session")
def recipe(ground) -> Recipe:
    """Return how the first network is trained."""
    config = ground.config
    settings = DetectorSettings(windows=config.windows, instances=config.instances)
    detector = DetectorRecipe(config.networks["a"], settings, resolve(config.runtime))
    return Recipe("a", "supervised", detector, config.training, config.evaluation)


@pytest.fixture(scope="session")
def trained(ground, recipe) -> Ref:
    """Return a network after six steps on label version 0."""
    return train_on(ground.run, ground, recipe)


def train_on(run: Run, ground, recipe: Recipe, begin: Beginning | None = None) -> Ref:
    return train(
        run, "train", regions=ground.regions, labels=ground.annotated,
        selection=select(Part.TRAIN), recipe=recipe, begin=begin or Beginning(),
    )  # fmt: skip


@pytest.fixture(scope="session")
def training() -> Callable[..., Ref]:
    """Return a function that trains on label version 0."""
    return train_on


@pytest.fixture(scope="session")
def perfect(ground, tmp_path_factory) -> Callable[..., Ref]:
    """Return a function that stores what a perfect network would find, given boxes per region."""

    def write(part: Part, *roles: Role, boxes=None, score=0.9, with_masks=True) -> Ref:
        source = open_regions(ground.at, ground.regions)
        facts = {"checkpoint": "f" * 32, "regions": ground.regions.digest}
        draft = DetectionDraft(ground.at, Parts(tmp_path_factory.mktemp("parts")))
        for info in select(part, *roles).of(source):
            known = source.truth(info.region_id) if boxes is None else None
            found = np.array(known.boxes if known is not None else boxes or [], float)
            draft.put(info.region_id, *_found(found.reshape(-1, 4), info, score, with_masks))
        return draft.commit(facts)

    return write


def _found(boxes, info, score, with_masks):
    cells = Detections(boxes, np.full(len(boxes), score), Polygons.none(len(boxes)))
    if not with_masks:
        return cells, None
    classes, _ = rasterise(boxes, (info.height, info.width), EllipseSettings())
    inner = np.where(classes > 0, round(255 * score), 0).astype(np.uint8)
    return cells, FoundMasks(classes, inner)
