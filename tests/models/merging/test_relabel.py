import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.merging.relabel import Previous, relabel
from models.merging.settings import MergeSettings
from models.merging.three_steps import HumanCells

DEFAULT = MergeSettings()
EDGE, INNER, IGNORE = 1, 2, 255
SHAPE = (60, 80)


def draw(*boxes, shape=SHAPE):
    return rasterise(np.array(boxes, float).reshape(-1, 4), shape, EllipseSettings())


def human(*boxes):
    return HumanCells(*draw(*boxes))


def start(drawn):
    return Previous(drawn.cells, int(drawn.cells.max()) + 1)


def sure(predicted):
    return np.where(predicted == INNER, 0.9, np.where(predicted == EDGE, 0.2, 0.0)).astype("f4")


def relabelled(predicted, drawn, previous=None, chosen=DEFAULT):
    return relabel(predicted, sure(predicted), drawn, previous or start(drawn), chosen)


def cell_at(result, y, x):
    return int(result.cells[y, x])


def test_no_prediction_gives_the_persons_cells_again():
    drawn = human((5, 5, 25, 25), (22, 8, 45, 30))
    result = relabelled(np.zeros(SHAPE, np.uint8), drawn)

    assert np.array_equal(result.cells, drawn.cells)
    assert np.array_equal(result.classes, drawn.classes)
    assert result.ids.tolist() == [1, 2]
    assert result.is_human.all()
    assert np.isnan(result.scores).all()
    assert [result.parents[row].tolist() for row in range(2)] == [[1], [2]]


def test_a_found_cell_gets_the_next_id_and_a_score():
    drawn = human((5, 5, 25, 25))
    predicted, _ = draw((40, 10, 60, 30))
    result = relabelled(predicted, drawn, Previous(drawn.cells, 17))

    assert result.ids.tolist() == [1, 17]
    assert cell_at(result, 20, 50) == 17
    assert result.next_cell_id == 18
    found = predicted > 0
    assert np.array_equal(result.cells == 17, found)
    assert result.scores[1] == pytest.approx(sure(predicted)[found].mean())
    assert result.parents[1].tolist() == []


def test_each_found_cell_has_its_own_score_whatever_its_id():
    nobody = human()
    low = np.zeros(SHAPE, np.uint8)
    low[40:50, 5:20] = low[40:50, 60:70] = INNER
    before = relabelled(low, nobody)
    # The new cell lies first in reading order and has the highest id.
    predicted = low.copy()
    predicted[5:20, 30:50] = INNER
    inner = np.zeros(SHAPE, np.float32)
    for number, part in enumerate((np.s_[5:20, 30:50], np.s_[40:50, 5:20], np.s_[40:50, 60:70]), 1):
        inner[part] = number / 4
    result = relabel(predicted, inner, nobody, Previous(before.cells, before.next_cell_id), DEFAULT)

    assert result.ids.tolist() == [1, 2, 3]
    assert [cell_at(result, y, x) for y, x in ((10, 40), (45, 10), (45, 65))] == [3, 1, 2]
    means = [inner[result.cells == cell].mean() for cell in result.ids]
    assert result.scores == pytest.approx(means)
    assert result.scores == pytest.approx([0.5, 0.75, 0.25])


def test_touching_found_cells_stay_two():
    predicted, truth = draw((10, 10, 32, 40), (29, 10, 51, 40))
    result = relabelled(predicted, human())

    assert len(result.ids) == 2
    agree = (result.cells == cell_at(result, 25, 20)) == (truth == 1)
    assert agree.mean() > 0.99


def test_a_found_cell_keeps_its_id_while_it_moves_a_little():
    first = relabelled(draw((10, 10, 30, 30), (50, 10, 70, 30))[0], human())
    moved = draw((52, 12, 72, 32), (12, 8, 32, 28), (30, 40, 50, 58))[0]
    second = relabelled(moved, human(), Previous(first.cells, first.next_cell_id))

    assert cell_at(second, 18, 22) == cell_at(first, 20, 20)
    assert cell_at(second, 22, 62) == cell_at(first, 20, 60)
    assert cell_at(second, 49, 40) == first.next_cell_id
    assert second.ids.tolist() == [1, 2, 3]
    assert [second.parents[row].tolist() for row in range(3)] == [[1], [2], []]


def test_an_id_is_never_used_again():
    first = relabelled(draw((10, 10, 30, 30))[0], human())
    gone = relabelled(draw()[0], human(), Previous(first.cells, first.next_cell_id))
    later = relabelled(draw((10, 10, 30, 30))[0], human(), Previous(gone.cells, gone.next_cell_id))

    assert (first.ids.tolist(), gone.ids.tolist(), later.ids.tolist()) == ([1], [], [2])


def test_a_cell_that_splits_leaves_its_id_to_the_larger_part_and_its_lineage_to_both():
    whole = draw((10, 10, 50, 40))[0]
    first = relabelled(whole, human())
    split = np.where(first.cells > 0, INNER, 0).astype(np.uint8)
    split[:, 28:30] = 0
    second = relabelled(split, human(), Previous(first.cells, first.next_cell_id))

    assert cell_at(second, 25, 40) == 1
    assert cell_at(second, 25, 20) == 2
    assert [second.parents[row].tolist() for row in range(2)] == [[1], [1]]


def test_a_prediction_a_little_larger_than_a_persons_cell_is_its_rim():
    drawn = human((20, 15, 50, 45))
    predicted = np.where(draw((17, 12, 53, 48))[1], INNER, 0).astype(np.uint8)
    result = relabelled(predicted, drawn)

    assert result.ids.tolist() == [1]
    assert np.array_equal(result.cells == 1, predicted == INNER)
    assert np.array_equal(result.cells > 0, result.classes > 0)


def test_a_large_prediction_beside_a_persons_cell_is_a_cell_of_its_own():
    drawn = human((10, 15, 30, 35))
    # The network fused the drawn cell with its neighbour, which nobody drew.
    predicted = np.maximum(draw((10, 15, 30, 35))[0], draw((27, 15, 57, 35))[0])
    predicted[predicted > 0] = INNER
    result = relabelled(predicted, drawn)

    assert result.ids.tolist() == [1, 2]
    assert cell_at(result, 25, 45) == 2


def test_a_found_cell_never_takes_the_id_of_a_persons_cell():
    drawn = human((5, 15, 25, 35))
    found, _ = draw((40, 15, 60, 35))
    # In the version before, pixels of the found cell counted as the person's.
    before = Previous(np.where(found > 0, 1, drawn.cells).astype(np.uint32), 2)
    result = relabelled(found, drawn, before, MergeSettings(identity_iou=0.1))

    assert (cell_at(result, 25, 15), cell_at(result, 25, 50)) == (1, 2)


def test_a_persons_cell_never_grows_beyond_its_limit():
    drawn = human((20, 15, 40, 35))
    flood = np.full(SHAPE, EDGE, np.uint8)
    flood[drawn.cells > 0] = 0
    result = relabelled(flood, drawn)

    assert np.array_equal(result.cells, drawn.cells)
    assert np.array_equal(result.classes, drawn.classes)


def test_specks_start_no_cell_and_edge_without_a_cell_is_background():
    predicted = np.zeros(SHAPE, np.uint8)
    predicted[5:8, 5:8] = INNER
    predicted[30:40, 30:40] = EDGE
    result = relabelled(predicted, human())

    assert len(result.ids) == 0
    assert not result.classes.any()


def test_ignored_pixels_stay_ignored_and_belong_to_no_cell():
    predicted = np.full(SHAPE, IGNORE, np.uint8)
    drawn = human((20, 15, 40, 35))
    result = relabelled(predicted, drawn)

    assert (result.classes[drawn.cells == 0] == IGNORE).all()
    assert np.array_equal(result.cells, drawn.cells)


predictions = arrays(np.uint8, (6, 8), elements=st.sampled_from([0, EDGE, INNER, IGNORE])).map(
    lambda small: np.kron(small, np.ones((10, 10), np.uint8))
)
drawings = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(6, 30), st.integers(6, 30)),
    max_size=5,
).map(lambda rows: human(*[(x, y, x + w, y + h) for x, y, w, h in rows]))


@given(predictions, drawings)
@settings(max_examples=60, deadline=None)
def test_classes_cells_and_ids_always_agree(predicted, drawn):
    result = relabelled(predicted, drawn)

    assert np.array_equal(np.unique(result.cells[result.cells > 0]), result.ids)
    assert np.array_equal(result.cells == 0, np.isin(result.classes, [0, IGNORE]))
    assert (result.cells[drawn.cells > 0] == drawn.cells[drawn.cells > 0]).all()
    human_ids = np.unique(drawn.cells[drawn.cells > 0])
    assert result.ids[result.is_human].tolist() == human_ids.tolist()
    drawn_areas = np.bincount(drawn.cells.ravel(), minlength=100)
    areas = np.bincount(result.cells.ravel(), minlength=100)
    assert (areas[human_ids] <= DEFAULT.human_growth * drawn_areas[human_ids]).all()


@given(predictions, drawings)
@settings(max_examples=30, deadline=None)
def test_the_same_prediction_again_keeps_every_id(predicted, drawn):
    once = relabelled(predicted, drawn)
    again = relabelled(predicted, drawn, Previous(once.cells, once.next_cell_id))

    assert np.array_equal(again.cells, once.cells)
    assert again.next_cell_id == once.next_cell_id
