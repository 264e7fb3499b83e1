import json

import pytest

from tasks.breakdown import breakdowns, group_rows
from tasks.report import GROUPS


def figures(group, recall, n_truth, fps=None, **changed):
    known = {
        "mode": "hard", "fold": 0, "seed": 0, "arm": "self", "model": "net", "truth": "complete",
        "by": "organ", "group": group, "n_images": 2, "n_truth": n_truth,
        "instance_recall": recall, "fps": fps,
    }  # fmt: skip
    return known | changed


def told(row, name="recall"):
    return [None if share is None else getattr(share, name) for share in row.shares]


def test_folds_and_seeds_are_weighed_by_what_they_hold():
    rows = [
        figures("colon", 0.5, 10, 4.0),
        figures("colon", 1.0, 30, 1.0, fold=1, n_images=10),
        figures("colon", 0.0, 10, None, seed=1),
        figures("colon", 0.0, 30, None, fold=1, seed=1, n_images=10),
    ]
    (table,) = breakdowns(rows)
    (row,) = table.rows
    assert (row.n_truth, row.n_images) == (40, 12)  # the same cells for each seed
    assert told(row) == pytest.approx([35 / 80])
    assert told(row, "fps") == pytest.approx([(4 * 2 + 1 * 10) / 12])


def test_each_arm_has_a_column_and_a_dash_where_it_was_not_run():
    rows = [
        figures("colon", 0.5, 10), figures("skin", 0.1, 4),
        figures("colon", 0.75, 10, arm="supervised"),
    ]  # fmt: skip
    (table,) = breakdowns(rows)
    assert table.arms == ("supervised", "self")
    found = {row.name: told(row) for row in table.rows}
    assert found == {"colon": [0.75, 0.5], "skin": [None, 0.1]}


def test_networks_modes_and_kinds_of_group_have_tables_of_their_own():
    rows = [
        figures("x", 0.5, 10), figures("x", 0.5, 10, mode="easy"),
        figures("x", 0.5, 10, by="slide"), figures("x", 0.5, 10, model="other"),
        figures("x", 0.9, 5, truth="partial"),
    ]  # fmt: skip
    tables = breakdowns(rows)
    assert len(tables) == 4
    assert {table.truth for table in tables} == {"complete"}
    assert [table.truth for table in breakdowns(rows[-1:])] == ["partial"]


def test_a_group_without_cells_or_images_for_false_positives_has_no_such_number():
    (table,) = breakdowns([figures("normal", None, 0, 2.5)])
    assert (told(table.rows[0]), told(table.rows[0], "fps")) == ([None], [2.5])


def test_every_group_of_every_arm_lies_beside_the_table(conducted):
    at = conducted.ground.at
    rows = json.loads((at.path(conducted.report) / GROUPS).read_text())["rows"]
    assert rows == group_rows(at, conducted.inputs.arms)
    organs = [row for row in rows if row["by"] == "organ" and row["truth"] == "complete"]
    assert len(organs) == 2 * len(conducted.inputs.arms)
    assert {row["by"] for row in rows} == {"organ", "slide"}
