"""What lies at a place of a slide, what lies nearest, and what lay there before."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.annotations import CellRecords, Polygons, Ragged
from models.errors import WrongUseError
from models.geometry.tiles import Placement
from storage.labels import place
from storage.labels.place import look
from storage.labels.revert import What, revert
from storage.labels.store import LabelDraft, open_version
from storage.layout import Workspace

HERE, FAR = [60, 30, 80, 50], [8, 38, 28, 56]


def near(seen):
    assert seen.nearest is not None
    return seen.nearest


def removal(seen):
    assert seen.removal is not None
    return seen.removal


def at_pixel(versions, column, row):
    """Return the middle of a working pixel in level-0 pixels."""
    x, y = versions.placement.to_level0((column + 0.5, row + 0.5))
    return float(x), float(y)


def test_every_pixel_of_a_cell_names_it(workspace, versions):
    ref = versions.round(versions.ingest(), found=[HERE])
    version = open_version(workspace, ref)
    cells = np.asarray(version.cells(versions.first)[:])
    for row, column in [(20, 20), (20, 40), (40, 70), (31, 70)]:
        seen = look(workspace, ref, versions.first, *at_pixel(versions, column, row))
        assert seen.cell == cells[row, column] > 0
        assert (seen.nearest, seen.removal) == (None, None)
        assert seen.pixel in {"inner", "edge"}


def test_a_pixel_reaches_to_the_next_and_not_further(workspace, versions):
    ref = versions.ingest()
    cells = np.asarray(open_version(workspace, ref).cells(versions.first)[:])
    row = 20
    first = int(np.flatnonzero(cells[row])[0])
    x0 = versions.placement.x0 + first * versions.placement.downsample
    y = at_pixel(versions, 0, row)[1]

    assert look(workspace, ref, versions.first, x0, y).cell == cells[row, first]
    before = look(workspace, ref, versions.first, x0 - 0.5, y)
    assert before.cell is None
    assert before.pixel == "background"
    assert near(before).cell == cells[row, first]
    assert near(before).distance_px == pytest.approx(0.5)


def test_a_place_outside_the_region_is_wrong_use_and_the_region_is_told(workspace, versions):
    ref = versions.ingest()
    for x, y in [(99.9, 210), (280, 210), (110, 199), (110, 320)]:
        with pytest.raises(WrongUseError, match=r"from x 100 to 280 and from y 200 to 320"):
            look(workspace, ref, versions.first, x, y)
    look(workspace, ref, versions.first, 279.9, 319.9)


def test_the_version_that_removed_a_cell_is_named_however_long_ago(workspace, versions):
    one = versions.round(versions.ingest(), 1, found=[HERE])
    cell = int(np.asarray(open_version(workspace, one).cells(versions.first)[:])[40, 70])
    two = versions.round(one, 2, found=[FAR])
    three = versions.round(two, 3, found=[FAR, [62, 2, 84, 20]])
    seen = look(workspace, three, versions.first, *at_pixel(versions, 70, 40))

    assert (seen.cell, removal(seen).cell, removal(seen).now) == (None, cell, ())
    assert (removal(seen).last.digest, removal(seen).by.digest) == (one.digest, two.digest)
    assert seen.to_json()["removed"]["how"] == "removed"
    assert seen.to_json()["removed"]["by"]["round"] == 2


def test_a_cell_that_a_revert_took_back_is_named_with_it(workspace, versions):
    one = versions.round(versions.ingest(), 1, found=[HERE])
    back = revert(workspace, one, What(round=1)).ref
    seen = look(workspace, back, versions.first, *at_pixel(versions, 70, 40))

    assert removal(seen).by.stage == "revert"
    assert removal(seen).by.parameters == {"taken_back": {"round": 1}}


def test_a_cell_that_drifted_away_is_said_to_have_moved(workspace, versions):
    one = versions.round(versions.ingest(), 1, found=[HERE])
    two = versions.round(one, 2, found=[[66, 30, 86, 50]])
    seen = look(workspace, two, versions.first, *at_pixel(versions, 61, 40))

    assert removal(seen).now == (removal(seen).cell,)
    assert seen.to_json()["removed"]["how"] == "moved away"


def test_where_nothing_ever_was_nothing_was_removed(workspace, versions):
    two = versions.round(versions.round(versions.ingest(), 1), 2)

    assert look(workspace, two, versions.first, *at_pixel(versions, 88, 2)).removal is None
    empty = look(workspace, two, "empty", *at_pixel(versions, 5, 5))
    assert (empty.cell, empty.nearest, empty.removal) == (None, None, None)


def test_all_that_a_cell_became_is_named_under_its_own_id_and_others(workspace, row):
    last = row({1: (6, []), 2: (9, [1]), 3: (20, [])}, row({1: (5, [])}))
    seen = look(workspace, last, "r", 5.5, 0.5)

    assert (removal(seen).cell, removal(seen).now) == (1, (1, 2))


def test_a_cell_just_outside_the_first_look_may_be_nearer_than_one_in_its_corner(
    workspace, monkeypatch
):
    monkeypatch.setattr(place, "FIRST_LOOK_PX", 4)
    ref = dotted(workspace, [(24, 24), (20, 25)], Placement(0, 0, 1.0))

    seen = look(workspace, ref, "r", 20.5, 20.5)
    assert (near(seen).cell, near(seen).distance_px) == (1, 4.5)


def test_a_look_as_wide_as_the_shorter_side_is_not_all_of_the_region(workspace, monkeypatch):
    monkeypatch.setattr(place, "FIRST_LOOK_PX", 41)
    ref = dotted(workspace, [(20, 59)], Placement(0, 0, 1.0))

    assert near(look(workspace, ref, "r", 0.5, 20.5)).distance_px == 58.5


SHAPE = (40, 60)


def dotted(at, pixels, where):
    """Commit a version of cells of one pixel each, given as row and column sorted by id."""
    cells, n = np.zeros(SHAPE, np.uint32), len(pixels)
    for number, (row, column) in enumerate(sorted(pixels), 1):
        cells[row, column] = number
    text, whole = np.zeros(n, "<U1"), np.zeros(n, np.int32)
    records = CellRecords(
        np.arange(1, n + 1, dtype=np.uint32), np.zeros((n, 4)), Polygons.none(n), np.zeros(n),
        np.full(n, 2, np.uint8), text, whole, text, text, whole,
        Ragged(np.zeros(0, np.uint32), np.zeros(n + 1, np.int64)),
    )  # fmt: skip
    with LabelDraft(at, parent=None, chain="c", round=0, stage="self", parameters={}) as draft:
        draft.put("r", where, np.where(cells > 0, 2, 0).astype(np.uint8), cells, records, n + 1)
        return draft.commit()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sets(st.tuples(st.integers(0, 39), st.integers(0, 59)), min_size=1, max_size=4),
    st.floats(0, 59.99), st.floats(0, 39.99),
)  # fmt: skip
def test_the_nearest_cell_is_the_nearest_of_all_pixels(tmp_path_factory, monkeypatch, pixels, x, y):
    monkeypatch.setattr(place, "FIRST_LOOK_PX", 4)  # so that the window must grow
    at, where = Workspace(tmp_path_factory.mktemp("near")), Placement(10, 20, 2.0)
    ref = dotted(at, pixels, where)
    seen = look(at, ref, "r", *map(float, where.to_level0((x, y))))

    gaps = [
        (max(column - x, x - column - 1, 0), max(row - y, y - row - 1, 0)) for row, column in pixels
    ]
    nearest = min(np.hypot(*gap) for gap in gaps)
    if seen.cell:
        assert nearest == 0
    else:
        assert near(seen).distance_px == pytest.approx(2 * nearest)
