import math

import numpy as np
import pytest

from models.methods.rounds import LabelledPixels, RegionChange, judge
from models.methods.settings import StopSettings

NOTHING = np.zeros(0)
STOP = StopSettings(minimum_growth=0.01, minimum_churn=0.02, smallest_cell=0.7, largest_cell=1.2)


def pixels(classes, cells):
    return LabelledPixels(np.array(classes, np.uint8), np.array(cells, np.uint32))


def change(inner=(100, 120), foreground=100, changed=10, pseudo=(10.0,), human=(10.0,)):
    return RegionChange(
        inner[0], inner[1], foreground, changed, 1, np.array(pseudo), np.array(human)
    )


def test_a_change_counts_pixels_of_cells_that_nobody_drew():
    # Cell 1 is a person's; cell 2 was found before and grew; cell 3 is new; 255 is ignored.
    before = pixels([[2, 2, 0, 2, 1, 0, 0, 255]], [[1, 1, 0, 2, 2, 0, 0, 0]])
    after = pixels([[2, 0, 0, 2, 2, 1, 2, 255]], [[1, 0, 0, 2, 2, 2, 3, 0]])
    found = RegionChange.between(before, after, np.array([1], np.uint32))
    assert (found.inner_before, found.inner_after) == (1, 3)
    assert found.foreground == 6  # columns 0, 1, 3, 4, 5, 6
    assert found.changed == 3  # columns 1, 5, 6
    assert found.pseudo_before == 1
    assert found.pseudo_areas.tolist() == [3.0, 1.0]
    assert found.human_areas.tolist() == [1.0]


def test_a_region_that_was_not_labelled_before_starts_from_nothing():
    nothing = pixels([[0, 0]], [[0, 0]])
    found = RegionChange.between(nothing, pixels([[2, 1]], [[4, 4]]), np.array([], np.uint32))
    assert (found.inner_before, found.inner_after, found.pseudo_before) == (0, 1, 0)
    assert (found.foreground, found.changed) == (2, 2)


def test_growth_churn_and_area_are_taken_over_all_regions_together():
    changes = [
        change((100, 150), foreground=50, changed=10, pseudo=(8.0, 12.0), human=(20.0,)),
        change((300, 350), foreground=150, changed=10, pseudo=(16.0,), human=(30.0, 40.0)),
    ]
    verdict = judge(changes, 2, STOP)
    assert verdict.growth == pytest.approx(100 / 400)
    assert verdict.churn == pytest.approx(20 / 200)
    assert verdict.relative_area == pytest.approx(12 / 30)


def test_rounds_go_on_while_labels_change():
    verdict = judge([change()], 2, STOP)
    assert verdict.goes_on
    assert verdict.reason == "labels still change"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (change((1000, 1009)), "grew by 0.9% only, limit 1%"),
        (change((1000, 991)), "grew by -0.9% only"),
        (change(changed=1), "changed by 1.0% only, limit 2%"),
        (change(pseudo=(13.0,)), "swell: 1.30 of an annotated one, limit 1.2"),
        (change(pseudo=(6.0,)), "collapse: 0.60 of an annotated one, limit 0.7"),
    ],
)
def test_each_limit_ends_the_rounds_from_the_second_on_and_says_so(found, reason):
    verdict = judge([found], 2, STOP)
    assert not verdict.goes_on
    assert reason in verdict.reason
    assert judge([found], 1, STOP).goes_on


def test_swelling_is_told_before_everything_else():
    assert "swell" in judge([change((1000, 1000), changed=0, pseudo=(99.0,))], 2, STOP).reason


def test_labels_that_shrink_a_lot_go_on():
    assert judge([change((1000, 800))], 2, STOP).goes_on


def test_a_first_round_has_no_growth_and_goes_on():
    verdict = judge([change((0, 500))], 1, STOP)
    assert math.isnan(verdict.growth)
    assert verdict.goes_on


def test_without_pseudo_cells_or_annotated_ones_there_is_no_relative_area():
    assert math.isnan(judge([change(pseudo=NOTHING)], 2, STOP).relative_area)
    assert math.isnan(judge([change(human=NOTHING)], 2, STOP).relative_area)
    assert judge([change(human=NOTHING)], 2, STOP).goes_on


def test_a_teacher_that_finds_nothing_ends_the_rounds():
    nothing = RegionChange(0, 0, 0, 0, 0, NOTHING, NOTHING)
    verdict = judge([nothing], 2, STOP)
    assert verdict.churn == 0.0
    assert not verdict.goes_on


def test_no_region_at_all_is_no_change():
    assert not judge([], 2, STOP).goes_on
