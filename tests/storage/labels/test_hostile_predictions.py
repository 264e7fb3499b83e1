"""What a person drew survives whatever a network says: through the real merge and a real draft."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from models.annotations import Annotations, Polygons
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.geometry.tiles import Placement
from models.merging.records import Provenance, human_records, next_records
from models.merging.relabel import Previous, relabel
from models.merging.settings import MergeSettings
from models.merging.three_steps import HumanCells
from storage.labels.store import LabelDraft, open_version
from storage.layout import Workspace

BACKGROUND, EDGE, INNER, IGNORE = 0, 1, 2, 255
SHAPE = HEIGHT, WIDTH = 48, 64
PLACE, REGION = Placement(1000, 500, 2.0), "slide@0,0"
EIGHT, FOUR = np.ones((3, 3), int), None
CHECKERS = np.indices(SHAPE).sum(axis=0) % 2


def full(value):
    return np.full(SHAPE, value, np.uint8)


def line(start, angle, width):
    """Return the pixels of a line of edge across the region."""
    y, x = np.indices(SHAPE)
    away = (x - start[0]) * np.sin(angle) - (y - start[1]) * np.cos(angle)
    return np.abs(away) <= width / 2


@st.composite
def cuts(draw):
    """Everything is inner, but for lines of edge that cut whatever lies below."""
    predicted = full(draw(st.sampled_from([INNER, BACKGROUND])))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, WIDTH)), draw(st.integers(0, HEIGHT))
        angle = draw(st.floats(0, np.pi))
        predicted[line(start, angle, draw(st.integers(1, 4)))] = EDGE
    return predicted


@st.composite
def blobs(draw):
    """One huge cell, which swallows what lies below it, on any ground."""
    y, x = np.indices(SHAPE)
    middle = draw(st.integers(0, WIDTH)), draw(st.integers(0, HEIGHT))
    radius = draw(st.integers(8, 60))
    distance = np.hypot(x - middle[0], y - middle[1])
    predicted = np.where(distance < radius, INNER, draw(st.sampled_from([BACKGROUND, IGNORE])))
    return np.where(np.abs(distance - radius) < 2, EDGE, predicted).astype(np.uint8)


classes = st.sampled_from([BACKGROUND, EDGE, INNER, IGNORE])
hostile = st.one_of(
    classes.map(full),
    st.tuples(classes, classes).map(lambda two: np.where(CHECKERS, *two).astype(np.uint8)),
    arrays(np.uint8, SHAPE, elements=classes, fill=classes),
    arrays(np.uint8, (12, 16), elements=classes).map(lambda small: np.kron(small, np.ones((4, 4)))),
    cuts(),
    blobs(),
).map(lambda predicted: predicted.astype(np.uint8))
boxes = st.lists(
    st.tuples(st.integers(0, 52), st.integers(0, 36), st.integers(5, 30), st.integers(5, 30)),
    min_size=1,
    max_size=5,
).map(lambda rows: np.array([(x, y, x + w, y + h) for x, y, w, h in rows], float))
chosen = st.builds(
    MergeSettings,
    human_growth=st.sampled_from([1.0, 1.5, 4.0]),
    human_inner_kept=st.sampled_from([0.5, 1.0]),
    minimum_area_px=st.sampled_from([1, 12]),
)
seeds = st.integers(0, 2**16).map(np.random.default_rng)


class Chain:
    """Label versions of one region, each made from a prediction as the relabel stage does it."""

    def __init__(self, at, drawn):
        self.at = at
        marked = Annotations(
            np.array([f"#{row}" for row in range(len(drawn))]),
            PLACE.boxes_to_level0(drawn),
            Polygons.none(len(drawn)),
        )
        self.classes, self.cells = rasterise(drawn, SHAPE, EllipseSettings())
        self.records = human_records(marked)
        labels = self.classes, self.cells, self.records, len(marked) + 1
        self.first = self.last = self._commit(None, 0, "ingest", labels)

    def _commit(self, parent, number, stage, labels):
        with LabelDraft(
            self.at, parent=parent, chain="c", round=number, stage=stage, parameters={}
        ) as draft:
            draft.put(REGION, PLACE, *labels)
            return draft.commit()

    def relabel(self, number, predicted, inner, merging):
        before = open_version(self.at, self.last)
        records = before.records(REGION)
        human = HumanCells.select(
            self.classes, self.cells, self.records.cell_ids[self.records.is_human]
        )
        previous = Previous(np.asarray(before.cells(REGION)[:]), before.next_cell_id(REGION))
        result = relabel(predicted, inner, human, previous, merging)
        after = next_records(result, records, PLACE, Provenance(number, "self", f"net{number}"))
        labels = result.classes, result.cells, after, result.next_cell_id
        self.last = self._commit(self.last, number, "self", labels)
        return open_version(self.at, self.last)


def pieces(mask, structure):
    return ndimage.label(mask, structure)[1]


def require_person(chain, version):
    """Check every promise about a person's cells by counting pixels."""
    classes = np.asarray(version.classes(REGION)[:])
    cells = np.asarray(version.cells(REGION)[:])
    records = version.records(REGION)
    human = records.take(records.is_human)
    assert human.cell_ids.tolist() == chain.records.cell_ids.tolist()
    assert human.boxes.tolist() == chain.records.boxes.tolist()
    assert human.annotation_ids.tolist() == chain.records.annotation_ids.tolist()
    for cell in human.cell_ids.tolist():
        drawn, now = chain.cells == cell, cells == cell
        inner = drawn & (chain.classes == INNER)
        kept = inner & now & (classes == INNER)
        assert kept.sum() * 2 >= inner.sum(), f"cell {cell} lost its inner pixels"
        assert pieces(now, EIGHT) <= pieces(drawn, EIGHT), f"cell {cell} fell apart"
        assert pieces(kept, FOUR) <= pieces(inner, FOUR), f"cell {cell} was cut in two"
        assert (now & drawn).sum() == drawn.sum(), f"cell {cell} lost pixels to others"


def require_never_overruled(drawn, predictions, random, merging):
    with tempfile.TemporaryDirectory() as folder:
        chain = Chain(Workspace(Path(folder)), drawn)
        for number, predicted in enumerate(predictions, start=1):
            inner = random.random(SHAPE, np.float32)
            require_person(chain, chain.relabel(number, predicted, inner, merging))


DRAWN = np.array([(6, 6, 30, 26), (24, 10, 50, 40), (2, 30, 20, 46)], float)
SPLIT = np.where(line((18, 16), np.pi / 2, 2) | line((37, 25), 0.4, 2), EDGE, INNER)


@pytest.mark.parametrize(
    "predicted",
    [
        full(BACKGROUND), full(EDGE), full(INNER), full(IGNORE),
        np.where(CHECKERS, EDGE, INNER), np.where(CHECKERS, INNER, BACKGROUND), SPLIT,
    ],
    ids=["background", "edge", "inner", "ignore", "checkers", "holes", "split"],
)  # fmt: skip
def test_a_person_is_not_overruled_by(predicted):
    random, predicted = np.random.default_rng(0), predicted.astype(np.uint8)
    require_never_overruled(DRAWN, [predicted] * 2, random, MergeSettings())


@given(boxes, st.lists(hostile, min_size=1, max_size=3), seeds, chosen)
@settings(max_examples=12, deadline=None)
def test_a_person_is_never_overruled(drawn, predictions, random, merging):
    require_never_overruled(drawn, predictions, random, merging)


@pytest.mark.slow
@given(boxes, st.lists(hostile, min_size=1, max_size=3), seeds, chosen)
@settings(max_examples=500, deadline=None)
def test_a_person_is_never_overruled_in_hundreds_of_attempts(drawn, predictions, random, merging):
    require_never_overruled(drawn, predictions, random, merging)
