import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.annotations import PixelClass
from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.merging.settings import MergeSettings
from models.merging.three_steps import HumanCells, classify, merge

DEFAULT = MergeSettings()
BG, EDGE, INNER, IGNORE = 0, 1, 2, 255
SHAPE = (40, 50)


def human(*boxes):
    return HumanCells(*rasterise(np.array(boxes, float).reshape(-1, 4), SHAPE, EllipseSettings()))


def nothing(shape=SHAPE):
    return np.zeros(shape, np.uint8)


predictions = arrays(np.uint8, SHAPE, elements=st.sampled_from([BG, EDGE, INNER, IGNORE]))
drawings = st.lists(
    st.tuples(st.integers(0, 38), st.integers(0, 28), st.integers(4, 16), st.integers(4, 16)),
    max_size=5,
).map(lambda rows: human(*[(x, y, x + w, y + h) for x, y, w, h in rows]))


def test_each_pair_of_classes_merges_as_in_the_paper():
    # One pixel per case; each is a cell of its own, so that nothing is protected below half.
    cases = [
        # predicted, human, merged
        (BG, BG, BG), (EDGE, BG, EDGE), (INNER, BG, INNER), (IGNORE, BG, IGNORE),
        (BG, EDGE, EDGE), (EDGE, EDGE, EDGE), (INNER, EDGE, EDGE), (IGNORE, EDGE, EDGE),
        (BG, INNER, INNER), (INNER, INNER, INNER), (IGNORE, INNER, INNER),
    ]  # fmt: skip
    predicted, drawn, expected = np.array(cases, np.uint8).T[:, None, :]
    cells = np.where(drawn > 0, np.arange(1, len(cases) + 1), 0).astype(np.uint32)

    assert merge(predicted, HumanCells(drawn, cells), DEFAULT).tolist() == expected.tolist()


def test_predicted_edge_erases_inner_of_a_person_up_to_half():
    drawn = np.full((1, 4), INNER, np.uint8)
    one = HumanCells(drawn, np.full((1, 4), 7, np.uint32))

    half = np.array([[EDGE, EDGE, INNER, BG]], np.uint8)
    assert merge(half, one, DEFAULT).tolist() == [[EDGE, EDGE, INNER, INNER]]
    more = np.array([[EDGE, EDGE, EDGE, BG]], np.uint8)
    assert merge(more, one, DEFAULT).tolist() == [[INNER] * 4]


def test_only_the_cell_that_would_lose_too_much_is_put_back():
    drawn = np.full((2, 4), INNER, np.uint8)
    two = HumanCells(drawn, np.array([[1] * 4, [2] * 4], np.uint32))
    predicted = np.array([[EDGE] * 4, [EDGE, BG, BG, BG]], np.uint8)

    assert merge(predicted, two, DEFAULT).tolist() == [[INNER] * 4, [EDGE, INNER, INNER, INNER]]


def test_predicted_edge_may_not_cut_a_persons_cell_in_two():
    drawn = np.full((3, 5), INNER, np.uint8)
    one = HumanCells(drawn, np.full((3, 5), 7, np.uint32))
    notch, cut = np.zeros((3, 5), np.uint8), np.zeros((3, 5), np.uint8)
    notch[:2, 2] = EDGE
    cut[:, 2] = EDGE

    assert merge(notch, one, DEFAULT).tolist() == np.where(notch, EDGE, INNER).tolist()
    assert merge(cut, one, DEFAULT).tolist() == drawn.tolist()


def test_a_cell_that_was_drawn_in_two_pieces_may_stay_so():
    # Another cell was drawn across it.
    drawn = np.array([[INNER, INNER, EDGE, INNER, INNER]], np.uint8)
    one = HumanCells(drawn, np.array([[7, 7, 8, 7, 7]], np.uint32))
    predicted = np.array([[EDGE, 0, 0, 0, 0]], np.uint8)

    assert merge(predicted, one, DEFAULT).tolist() == [[EDGE, INNER, EDGE, INNER, INNER]]


def test_merging_nothing_leaves_the_persons_cells():
    drawn = human((5, 5, 25, 20), (22, 8, 40, 30))

    assert np.array_equal(merge(nothing(), drawn, DEFAULT), drawn.classes)


def test_merging_with_no_person_leaves_the_prediction():
    predicted = np.array([[BG, EDGE, INNER, IGNORE]], np.uint8)
    nobody = HumanCells(nothing((1, 4)), np.zeros((1, 4), np.uint32))

    assert np.array_equal(merge(predicted, nobody, DEFAULT), predicted)


@given(predictions, drawings)
@settings(max_examples=60, deadline=None)
def test_merging_twice_changes_nothing_more(predicted, drawn):
    once = merge(predicted, drawn, DEFAULT)

    assert np.array_equal(merge(once, drawn, DEFAULT), once)


@given(predictions, drawings)
@settings(max_examples=60, deadline=None)
def test_a_persons_cells_stay_foreground_and_keep_half_of_their_inner_region(predicted, drawn):
    merged = merge(predicted, drawn, DEFAULT)

    assert np.isin(merged[drawn.cells > 0], [EDGE, INNER]).all()
    for cell in np.unique(drawn.cells[drawn.cells > 0]):
        inner = (drawn.cells == cell) & (drawn.classes == INNER)
        assert np.count_nonzero(merged[inner] == INNER) * 2 >= np.count_nonzero(inner)


def test_pixels_above_the_threshold_take_the_likelier_of_edge_and_inner():
    edge = np.array([[0.5, 0.2, 0.25, 0.6]])
    inner = np.array([[0.3, 0.6, 0.4, 0.0]])
    assert classify(edge, inner, DEFAULT).tolist() == [[EDGE, INNER, BG, BG]]
    low = MergeSettings(threshold=0.33)
    assert classify(edge, inner, low).tolist() == [[EDGE, INNER, INNER, EDGE]]


def test_a_pixel_at_a_limit_is_below_it():
    inner = np.array([[0.25, 0.5, np.nextafter(np.float32(0.5), np.float32(1))]], np.float32)
    half = MergeSettings(threshold=0.5)
    assert classify(0 * inner, inner, half).tolist() == [[BG, BG, INNER]]
    banded = half.model_copy(update={"ignore_above": 0.25})
    assert classify(0 * inner, inner, banded).tolist() == [[BG, IGNORE, INNER]]


def test_a_band_below_the_threshold_can_be_ignored():
    inner = np.array([[0.2, 0.31, 0.69, 0.71]])
    banded = classify(0 * inner, inner, MergeSettings(ignore_above=0.3))
    assert banded.tolist() == [[BG, IGNORE, IGNORE, INNER]]


def test_a_band_above_the_threshold_is_refused():
    with pytest.raises(ValueError, match=r"ignore_above 0\.8 must be below threshold 0\.7"):
        MergeSettings(ignore_above=0.8)


def test_selecting_a_persons_cells_leaves_the_found_ones_out():
    classes = np.array([[INNER, EDGE, INNER, IGNORE]], np.uint8)
    cells = np.array([[3, 3, 9, 0]], np.uint32)
    selected = HumanCells.select(classes, cells, np.array([3, 40], np.uint32))

    assert selected.cells.tolist() == [[3, 3, 0, 0]]
    assert selected.classes.tolist() == [[INNER, EDGE, PixelClass.BACKGROUND, 0]]
    assert selected.cells.dtype == np.uint32
