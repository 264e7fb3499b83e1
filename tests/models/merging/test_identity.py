import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.geometry.masks import rasterise
from models.geometry.settings import EllipseSettings
from models.merging.identity import one_to_one, parents, pixel_overlaps
from models.merging.relabel import Previous, relabel
from models.merging.settings import MergeSettings
from models.merging.three_steps import HumanCells


def test_overlap_is_shared_pixels_over_all_pixels():
    first = np.array([[1, 1, 1, 0, 4]])
    second = np.array([[0, 7, 7, 7, 0]])
    found = pixel_overlaps(first, second)

    assert (found.first.tolist(), found.second.tolist()) == ([1], [7])
    assert found.iou == pytest.approx([2 / 4])


def test_masks_without_cells_share_nothing():
    empty = np.zeros((3, 3), np.uint32)

    assert len(pixel_overlaps(empty, empty).iou) == 0


def test_the_largest_overlap_is_served_first_and_each_cell_once():
    first = np.array([[1, 1, 1, 1, 2, 2]])
    second = np.array([[5, 5, 5, 6, 6, 6]])
    # 1-5: 3/4, 2-6: 2/3, 1-6: 1/6.
    pairs = pixel_overlaps(first, second)

    assert one_to_one(pairs.above(0.1)) == {1: 5, 2: 6}
    assert one_to_one(pairs.above(0.7)) == {1: 5}


def test_equal_overlaps_are_served_by_id():
    first = np.array([[2, 3]])
    second = np.array([[9, 9]])

    assert one_to_one(pixel_overlaps(first, second).above(0.3)) == {2: 9}


SHAPE = (40, 80)
INNER = 2
DEFAULT = MergeSettings()
NOBODY = HumanCells(np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint32))
PERSON = HumanCells(
    *rasterise(np.array([[4.0, 4, 22, 22], [18, 8, 40, 30]]), SHAPE, EllipseSettings())
)


def bars(*rectangles):
    """Return a prediction of rectangles ``x0, y0, x1, y1``, all inner."""
    predicted = np.zeros(SHAPE, np.uint8)
    for x0, y0, x1, y1 in rectangles:
        predicted[y0:y1, x0:x1] = INNER
    return predicted


def rounds(*predictions, human=NOBODY):
    """Return what each prediction in turn makes of the version before."""
    before = Previous(human.cells, int(human.cells.max()) + 1)
    results = []
    for predicted in predictions:
        inner = (predicted == INNER) * np.float32(0.9)
        results.append(relabel(predicted, inner, human, before, DEFAULT))
        before = Previous(results[-1].cells, results[-1].next_cell_id)
    return results


def lineage(result):
    return {int(cell): result.parents[row].tolist() for row, cell in enumerate(result.ids)}


def test_every_part_of_a_split_knows_the_whole_and_the_largest_keeps_its_id():
    # 30 of 48 columns, then 12: the smallest part has an IoU of 0.25 with the whole.
    whole, split = bars((8, 8, 56, 24)), bars((8, 8, 38, 24), (44, 8, 56, 24))
    first, second = rounds(whole, split)

    assert first.ids.tolist() == [1]
    assert lineage(second) == {1: [1], 2: [1]}
    assert (second.cells[10, 20], second.cells[10, 50]) == (1, 2)


def test_an_id_ends_when_no_part_of_a_split_is_close_to_the_whole():
    whole = bars((0, 8, 80, 24))
    fifths = bars(*((x, 8, x + 14, 24) for x in (0, 16, 32, 48, 64)))
    _, second = rounds(whole, fifths)

    assert lineage(second) == {2: [1], 3: [1], 4: [1], 5: [1], 6: [1]}


def test_a_merged_cell_knows_all_its_parents_and_keeps_the_id_of_the_closest():
    three = bars((4, 8, 44, 24), (48, 8, 60, 24), (64, 8, 70, 24))
    first, second = rounds(three, bars((4, 8, 70, 24)))

    closest = int(first.cells[10, 10])
    assert sorted(first.ids.tolist()) == [1, 2, 3]
    assert lineage(second) == {closest: [1, 2, 3]}


def test_a_neighbour_that_only_touches_is_no_parent():
    first, second = rounds(bars((4, 8, 20, 24)), bars((4, 8, 20, 24), (22, 8, 38, 24)))

    assert lineage(first) == {1: []}
    assert lineage(second) == {1: [1], 2: []}


def test_a_cell_that_drifts_keeps_its_id_far_beyond_where_it_began():
    drift = [bars((x, 8, x + 16, 24)) for x in range(0, 61, 6)]
    results = rounds(*drift)

    assert [lineage(one) for one in results] == [{1: []}, *[{1: [1]}] * 10]
    assert not ((results[0].cells > 0) & (results[-1].cells > 0)).any()


def test_a_cell_that_keeps_its_id_is_always_its_own_parent():
    # 12 of 26 columns are shared: an IoU of 0.3, but less than half of either.
    first, second = rounds(bars((0, 8, 26, 24)), bars((14, 8, 40, 24)))

    assert (lineage(first), lineage(second)) == ({1: []}, {1: [1]})


def test_a_cell_that_jumps_is_another_cell():
    first, second = rounds(bars((0, 8, 16, 24)), bars((10, 8, 26, 24)))

    assert (lineage(first), lineage(second)) == ({1: []}, {2: []})


def test_a_cell_that_comes_back_after_a_round_is_a_new_cell():
    cell = bars((10, 8, 26, 24))

    assert [lineage(one) for one in rounds(cell, bars(), cell)] == [{1: []}, {}, {2: []}]


blocks = arrays(np.uint8, (5, 10), elements=st.sampled_from([0, 1, INNER])).map(
    lambda small: np.kron(small, np.ones((8, 8), np.uint8))
)


def related_by_hand(cells, before):
    """Return ids with parents, counted pixel by pixel."""
    found: dict[int, list[int]] = {}
    for cell in set(cells.ravel().tolist()) - {0}:
        here, found[cell] = cells == cell, []
        for other in sorted(set(before[here].tolist()) - {0}):
            there = before == other
            shared, smaller = (here & there).sum(), min(here.sum(), there.sum())
            if shared / (here | there).sum() >= DEFAULT.identity_iou or shared / smaller >= 0.5:
                found[cell].append(other)
    return found


@given(st.lists(blocks, min_size=2, max_size=4), st.sampled_from([NOBODY, PERSON]))
@settings(max_examples=60, deadline=None)
def test_over_many_rounds_ids_name_one_cell_each_and_every_parent_is_recorded(predictions, human):
    before = Previous(human.cells, int(human.cells.max()) + 1)
    human_ids = set(human.cells.ravel().tolist()) - {0}
    known: set[int] = set()
    for result in rounds(*predictions, human=human):
        assert lineage(result) == related_by_hand(result.cells, before.cells)
        now, was = set(result.ids.tolist()), set(before.cells.ravel().tolist()) - {0}
        # An id that is new was never used; one that ended never comes back.
        assert all(cell >= before.next_cell_id for cell in now - was)
        assert not (now - was) & known
        for cell in (now & was) - human_ids:
            here, there = result.cells == cell, before.cells == cell
            assert (here & there).sum() / (here | there).sum() >= DEFAULT.identity_iou
        known |= now
        before = Previous(result.cells, result.next_cell_id)


@given(blocks, blocks)
@settings(max_examples=60, deadline=None)
def test_no_two_cells_would_rather_have_each_others_id(one, other):
    first, second = rounds(one, other)

    found = pixel_overlaps(second.cells, first.cells)
    pairs = list(zip(found.first.tolist(), found.second.tolist(), found.iou.tolist(), strict=True))
    own = {cell: iou for cell, before, iou in pairs if cell == before}
    for cell, before, iou in pairs:
        if iou >= DEFAULT.identity_iou:
            assert iou <= max(own.get(cell, 0), own.get(before, 0))


def test_parents_come_in_the_order_of_the_cells_that_are_asked():
    first, second = np.array([[1, 1, 2, 2, 3]]), np.array([[7, 8, 9, 9, 0]])
    found = parents(pixel_overlaps(first, second), np.array([3, 2, 1]), 0.9)

    assert [found[row].tolist() for row in range(3)] == [[], [9], [7, 8]]
    assert found.values.dtype == np.uint32
