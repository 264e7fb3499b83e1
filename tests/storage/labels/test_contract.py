from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from models.errors import LabelContractError
from models.geometry.tiles import Placement
from storage.labels.contract import (
    RegionLabels,
    present_ids,
    require_agreement,
    torn_cells,
)


@pytest.fixture
def labels(versions):
    return RegionLabels(*versions.drawn_labels(versions.first))


def refuses(labels, message):
    with pytest.raises(LabelContractError, match=message):
        require_agreement("region-7", labels)


def test_labels_as_drawn_agree(labels):
    require_agreement("region-7", labels)


def test_ignored_pixels_need_no_cell(labels):
    labels.classes[0, 0] = 255

    require_agreement("region-7", labels)


def test_a_foreground_pixel_without_a_cell_is_named(labels):
    labels.classes[3, 70] = 2

    refuses(labels, "region region-7: 1 pixels, the first at x 70, y 3, have class 2 with cell 0")


def test_a_cell_on_background_or_ignored_pixels_is_named(labels):
    labels.classes[20, 20] = 255

    refuses(labels, "x 20, y 20, have class 255 with cell 1")


def test_a_class_that_does_not_exist_is_named(labels):
    labels.classes[0, 0] = 7

    refuses(labels, r"classes hold \[7\]; use 0, 1, 2 and 255")


def test_arrays_of_another_type_or_shape_are_refused(labels):
    refuses(replace(labels, cells=labels.cells.astype(np.int64)), "cells int64")
    refuses(replace(labels, cells=labels.cells[:5]), r"cells uint32 \(5, 90\)")


def test_a_cell_without_a_record_is_named(labels):
    refuses(replace(labels, records=labels.records.take(np.array([0]))), "cell 2 has pixels but no")


def test_a_record_without_pixels_is_named(labels):
    labels.classes[labels.cells == 2] = 0
    labels.cells[labels.cells == 2] = 0

    refuses(labels, "cell 2 has a record but no pixels")


def test_two_records_of_one_cell_are_refused(labels):
    twice = labels.records.take(np.array([0, 1, 1]))

    refuses(replace(labels, records=twice), "cell 2 has more than one record")


def test_the_next_id_must_be_free(labels):
    refuses(replace(labels, next_cell_id=2), "cell 2 is not below next_cell_id 2")


@given(
    arrays(np.uint32, array_shapes(min_dims=2, max_dims=2, min_side=0), elements=st.integers(0, 9))
)
def test_the_ids_of_a_map_are_those_of_its_pixels(cells):
    assert present_ids(cells).tolist() == sorted(set(cells.ravel().tolist()) - {0})


def put(versions, **changes):
    """Put the first region of round 1 with some of its parts changed."""
    first = versions.ingest()
    names = ("placement", "classes", "cells", "records", "next_cell_id")
    parts = dict(zip(names, versions.next_labels(first), strict=True))
    parts |= {name: change(parts[name]) for name, change in changes.items()}
    with versions.draft(first) as draft:
        draft.put(versions.first, *parts.values())


def test_a_round_as_merged_is_accepted(versions):
    put(versions)


def test_a_region_may_not_move(versions):
    with pytest.raises(LabelContractError, match="in the parent at Placement"):
        put(versions, placement=lambda _: Placement(0, 0, 2.0))


def test_an_id_may_not_be_given_twice(versions):
    first = versions.ingest()
    grown = versions.round(first)
    labels = list(versions.drawn_labels(versions.first))
    with (
        versions.draft(grown) as draft,
        pytest.raises(LabelContractError, match="next_cell_id fell from 5 to 3"),
    ):
        draft.put(versions.first, *labels)


def test_a_persons_cell_that_moved_is_named(versions):
    def moved(records):
        boxes = records.boxes.copy()
        boxes[1] += 1
        return replace(records, boxes=boxes)

    with pytest.raises(LabelContractError, match="the person's cell 2 was changed"):
        put(versions, records=moved)


def test_a_persons_cell_that_lost_its_origin_is_named(versions):
    def forgotten(records):
        origins = records.origins.copy()
        origins[0] = 2
        return replace(records, origins=origins)

    with pytest.raises(LabelContractError, match="the person's cell 1 was lost"):
        put(versions, records=forgotten)


def test_a_found_cell_that_claims_to_be_a_persons_is_named(versions):
    def claimed(records):
        origins = records.origins.copy()
        origins[3] = 0
        return replace(records, origins=origins)

    with pytest.raises(LabelContractError, match="the person's cell 4 was added"):
        put(versions, records=claimed)


def test_a_persons_cell_that_lost_most_of_its_inner_region_is_named(versions):
    _, drawn, cells, *_ = versions.drawn_labels(versions.first)
    inner = np.flatnonzero((drawn == 2) & (cells == 1))

    def eroded(n_pixels):
        def erode(classes):
            classes = classes.copy()
            classes.flat[inner[:n_pixels]] = 1
            return classes

        return erode

    put(versions, classes=eroded(len(inner) // 2))
    with pytest.raises(LabelContractError, match=rf"cell 1 keeps \d+ of {len(inner)} inner pixels"):
        put(versions, classes=eroded(len(inner) // 2 + 1))


def cut(versions, *, by_class):
    """Put the first region with a line across the person's first cell."""
    _, drawn, cells, *_ = versions.drawn_labels(versions.first)
    line = np.zeros(drawn.shape, bool)
    line[22] = True
    line &= cells == 1

    def changed(array, value):
        array = array.copy()
        array[line] = value
        return array

    if by_class:
        put(versions, classes=lambda classes: changed(classes, 1))
    else:
        put(versions, classes=lambda c: changed(c, 0), cells=lambda c: changed(c, 0))


@pytest.mark.parametrize("by_class", [True, False])
def test_a_persons_cell_that_was_cut_in_two_is_named(versions, by_class):
    with pytest.raises(LabelContractError, match="the person's cell 1 fell into more pieces"):
        cut(versions, by_class=by_class)


def test_a_persons_cell_may_lose_edge_and_be_drawn_anew_around_its_inner_region():
    drawn = (
        np.array([[0, 1, 2, 2, 1, 0, 2]], np.uint8),
        np.array([[0, 1, 1, 1, 1, 0, 2]], np.uint32),
    )
    now = np.array([[1, 1, 2, 1, 0, 0, 2]], np.uint8), np.array([[1, 1, 1, 1, 0, 0, 2]], np.uint32)

    assert torn_cells(now, drawn, np.array([1, 2])) == []
    gone = np.array([[1, 0, 2, 1, 0, 0, 2]], np.uint8), np.array([[1, 0, 1, 1, 0, 0, 2]], np.uint32)
    assert torn_cells(gone, drawn, np.array([1, 2])) == [1]
    assert torn_cells(gone, drawn, np.array([2])) == []
