import numpy as np
import pytest

from models.annotations import Annotations, Polygons
from storage.datasets.cells import CellTables, digest_of_cells, write_tables


def cells(*rings, first=0):
    found = [np.array(ring, np.float64).reshape(-1, 2) for ring in rings]
    boxes = np.array([[i, 1.25, i + 4.5, 9] for i in range(len(rings))], np.float64).reshape(-1, 4)
    ids = np.array([f"cell {first + i}" for i in range(len(rings))], np.str_)
    return Annotations(ids, boxes, Polygons.of_rings(found))


TRIANGLE = [[1, 2], [5.5, 2], [5, 6]]


def test_cells_come_back_with_their_outlines_and_without(tmp_path):
    given = {"a": cells(TRIANGLE, []), "b": cells([]), "c": cells([], TRIANGLE, first=7)}
    write_tables(tmp_path, given, {})
    tables = CellTables(tmp_path)
    for name, one in given.items():
        assert digest_of_cells(tables.annotations(name)) == digest_of_cells(one)
        assert tables.annotations(name).ids.tolist() == one.ids.tolist()


def test_truth_is_no_annotation(tmp_path):
    write_tables(tmp_path, {"a": cells([])}, {"a": cells([], [], [])})
    tables = CellTables(tmp_path)
    assert (len(tables.annotations("a")), len(tables.truth("a"))) == (1, 3)


def test_an_item_without_cells_has_an_empty_table(tmp_path):
    write_tables(tmp_path, {"a": Annotations.none()}, {})
    tables = CellTables(tmp_path)
    assert [len(tables.annotations("a")), len(tables.truth("b"))] == [0, 0]


@pytest.mark.parametrize("other", [cells(TRIANGLE, first=1), cells([]), cells(TRIANGLE, [])])
def test_another_id_outline_or_cell_is_another_digest(other):
    assert digest_of_cells(other) != digest_of_cells(cells(TRIANGLE))
