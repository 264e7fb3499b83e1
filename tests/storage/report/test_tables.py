from dataclasses import replace

import pytest

from storage.report.model import ArmRow, Breakdown, GroupRow, Share
from storage.report.tables import (
    BEST_GROUPS,
    FEW_MORE,
    WORST_GROUPS,
    furthest,
    groups_shown,
    table_groups,
    within,
)


def test_each_gain_stands_beside_its_control(report):
    groups = table_groups(report.rows)
    assert [group.title[:11] for group in groups] == ["tiny-resnet", "tiny-dla, c"]
    by_arm = {line.row.arm: line for line in groups[0].rows}
    assert by_arm["self"].control_name == "supervised, longer"
    assert by_arm["self"].gain == pytest.approx(0.335 - 0.188)
    assert by_arm["cooperative"].control_name == "self-training, longer"
    assert by_arm["supervised"].control is None
    assert by_arm["self_longer"].is_control


def test_arms_are_compared_within_one_fold_seed_and_truth_only(report):
    elsewhere = [replace(row, truth="partial") for row in report.rows if row.arm == "self"]
    groups = table_groups([*report.rows, *elsewhere])
    assert len(groups) == 4
    assert next(g for g in groups if "partial" in g.title).rows[0].control is None


def test_tables_beyond_the_limit_are_left_out_partial_truth_first(report):
    both = [*report.rows, *(replace(row, truth="partial") for row in report.rows)]
    groups = table_groups(both)
    kept, left_out = within(groups, most=13)
    assert left_out == 2
    assert [group.title.split(" truth")[0][-8:] for group in kept] == ["complete", "complete"]
    assert within(groups, most=24) == (groups, 0)
    assert len(within(groups, most=1)[0]) == 1  # one table always


def row(name, recall, n_truth=10, fps=None):
    return GroupRow(name, 1, n_truth, (Share(0.5, None), Share(recall, fps), Share(0.1, None)))


def test_the_worst_groups_of_the_furthest_arm_come_first_and_the_middle_is_left_out():
    rows = [row(f"slide{n:02d}", (n * 7 % 40) / 40) for n in range(40)]
    rows += [row(f"normal{n:02d}", None, 0, float(n)) for n in range(11)]
    arms = ("supervised", "cooperative", "self_longer")
    shown = groups_shown(Breakdown("net", "hard", "complete", "slide", arms, tuple(rows)))
    shares = [one.shares[1] for one in shown.rows]
    recalls = [share.recall for share in shares if share and share.recall is not None]
    assert recalls == sorted(recalls)
    assert (recalls[0], recalls[-1]) == (0.0, 39 / 40)
    assert len(recalls) == WORST_GROUPS + BEST_GROUPS
    assert [one.name for one in shown.rows[-BEST_GROUPS:]] == [
        "normal10", "normal09", "normal08", "normal07", "normal06",
    ]  # fmt: skip
    assert shown.left_out == 51 - len(shown.rows) == 21


def test_a_handful_of_groups_more_is_not_left_out():
    rows = tuple(row(f"slide{n:02d}", n / 40) for n in range(WORST_GROUPS + BEST_GROUPS + FEW_MORE))
    shown = groups_shown(Breakdown("net", "hard", "complete", "slide", ("a", "b", "c"), rows))
    assert (len(shown.rows), shown.left_out) == (len(rows), 0)


def test_the_furthest_arm_is_a_method_where_there_is_one():
    assert furthest(["supervised", "cooperative", "self_longer"]) == "cooperative"
    assert furthest(["supervised_longer", "supervised"]) == "supervised"
    assert furthest(["self_longer"]) == "self_longer"


def test_a_row_belongs_to_the_group_of_what_it_may_be_compared_with(report):
    one = report.rows[0]
    assert isinstance(one, ArmRow)
    assert replace(one, seed=1).group != one.group
    assert replace(one, arm="self").group == one.group
