from dataclasses import replace

import numpy as np
import pytest

from storage.labels.diff.cells import CellChanges, Change
from storage.labels.diff.compare import diff
from storage.labels.diff.telling import middles_of, telling_rows

FAR = 1000.0


@pytest.fixture
def found(workspace, versions):
    first = versions.ingest()
    return diff(workspace, first, versions.round(first))


def changes(*rows):
    """Return changes of ``(kind, place, strength, human)``, each in a square of its own."""
    n = len(rows)
    kinds = np.array([row[0] for row in rows], np.uint8)
    corner = np.array([[FAR * row[1], 0, FAR * row[1] + 10, 10] for row in rows])
    strengths = np.array([row[2] for row in rows], float)
    is_new = (kinds & (Change.ADDED | Change.SPLIT)) > 0
    is_gone = (kinds & (Change.REMOVED | Change.MERGED)) > 0
    ids = np.arange(1, n + 1, dtype=np.uint32)
    return CellChanges(
        np.zeros(n, np.int32), ids * ~is_new, ids * ~is_gone,
        np.where(is_new[:, None], np.nan, corner), np.where(is_gone[:, None], np.nan, corner),
        kinds, np.zeros(n, np.uint8), strengths, strengths, np.where(is_new, np.nan, strengths),
        np.where(is_gone, np.nan, strengths), np.array([row[3] for row in rows], bool),
    )  # fmt: skip


def shown(found, table, n_shown=99):
    first = next(iter(found.by_region))
    number = np.full(len(table), found.regions.index(first), np.int32)
    return telling_rows(replace(found, changes=replace(table, regions=number)), n_shown)


def test_of_each_kind_the_strongest_comes_in_turn(found):
    table = changes(
        (Change.ADDED, 0, 0.5, False),
        (Change.ADDED, 1, 0.9, False),
        (Change.REMOVED, 2, 0.3, False),
        (Change.REMOVED, 3, 0.7, False),
        (Change.MOVED, 4, 5, False),
    )

    assert shown(found, table) == [3, 1, 4, 2, 0]
    assert shown(found, table, 2) == [3, 1]


def test_a_persons_cell_comes_first(found):
    table = changes((Change.SPLIT, 0, 9, False), (Change.MOVED, 1, 0.1, True))

    assert shown(found, table) == [1, 0]


def test_a_change_beside_a_shown_one_is_left_out(found):
    table = changes(
        (Change.ADDED, 0, 0.9, False), (Change.ADDED, 0.12, 0.8, False),
        (Change.ADDED, 0.13, 0.7, False),
    )  # fmt: skip

    # 64 working pixels are 128 at level 0: the second is nearer, the third is not.
    assert shown(found, table) == [0, 2]


def test_changes_in_different_regions_are_never_beside_each_other(found):
    table = changes((Change.ADDED, 0, 0.9, False), (Change.ADDED, 0, 0.8, False))
    names = list(found.regions)
    apart = replace(table, regions=np.array([0, 1], np.int32))
    counted = replace(found, by_region={name: {} for name in names}, changes=apart)

    assert telling_rows(counted, 9) == [0, 1]


def test_a_cell_that_shrank_is_as_telling_as_one_that_grew_as_much(found):
    table = changes((Change.RESIZED, 0, 0.9, False), (Change.RESIZED, 1, -0.5, False))

    assert shown(found, table) == [1, 0]


def test_a_change_with_several_kinds_is_shown_once(found):
    assert shown(found, changes((Change.MOVED | Change.RESIZED, 0, 1, False))) == [0]


def test_the_middle_of_a_removed_cell_is_where_it_was():
    table = changes((Change.REMOVED, 0, 1, False), (Change.ADDED, 1, 1, False))

    assert middles_of(table).tolist() == [[5, 5], [1005, 5]]


def test_where_nothing_changed_nothing_is_told(workspace, found):
    same = diff(workspace, found.after.info.ref, found.after.info.ref)

    assert telling_rows(same, 9) == []
