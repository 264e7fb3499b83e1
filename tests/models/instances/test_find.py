import subprocess
import sys

import numpy as np
import pytest

from benchmarks.seeded_maps import SMALL, draw_map
from models.instances.find import find_instances
from models.instances.settings import InstanceSettings

LARGEST_FIRST = InstanceSettings(minimum_area_px=1)


def row(*values):
    return np.array([values], np.float32)


def test_two_touching_cells_are_parted_at_their_edge():
    inner = row(0.0, 0.1, 0.8, 0.6, 0.1, 0.9, 0.1, 0.0)
    edge = row(0.1, 0.6, 0.1, 0.2, 0.8, 0.1, 0.7, 0.1)
    found = find_instances(inner, edge, LARGEST_FIRST)
    assert len(found) == 2
    assert found.cells[0, [0, 1, 2, 3, 5, 6, 7]].tolist() == [0, 1, 1, 1, 2, 2, 0]
    assert found.cells[0, 4] in {1, 2}
    assert found.boxes[0, 0] == 1
    assert found.boxes[1, 2] == 7


def test_the_score_is_the_mean_of_p_inner_over_the_cell_or_its_maximum():
    inner, edge = row(0.1, 0.8, 0.6, 0.1), row(0.7, 0.1, 0.1, 0.8)
    mean = find_instances(inner, edge, LARGEST_FIRST).scores
    highest = find_instances(inner, edge, LARGEST_FIRST.model_copy(update={"score": "max"})).scores
    assert mean == pytest.approx([0.4])
    assert highest == pytest.approx([0.8])


def test_candidates_below_the_floor_are_not_cells():
    inner, edge = row(0.0, 0.14, 0.0, 0.2, 0.0), np.zeros((1, 5), np.float32)
    found = find_instances(inner, edge, LARGEST_FIRST)
    np.testing.assert_array_equal(found.cells, [[0, 0, 0, 1, 0]])


def test_candidates_without_an_inner_pixel_are_dropped():
    inner, edge = row(0.2, 0.2, 0.0, 0.9), row(0.5, 0.5, 0.0, 0.0)
    found = find_instances(inner, edge, LARGEST_FIRST)
    np.testing.assert_array_equal(found.cells, [[0, 0, 0, 1]])


def test_seeds_that_touch_at_a_corner_are_two_cells():
    inner = np.array([[0.9, 0.0], [0.0, 0.9]], np.float32)
    found = find_instances(inner, np.zeros_like(inner), LARGEST_FIRST)
    np.testing.assert_array_equal(found.cells, [[1, 0], [0, 2]])


def test_small_seeds_leave_their_pixels_to_others_and_ids_stay_consecutive():
    inner, edge = row(0.9, 0.1, 0.9, 0.9, 0.0, 0.9, 0.9), row(0.0, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0)
    found = find_instances(inner, edge, InstanceSettings(minimum_area_px=2))
    np.testing.assert_array_equal(found.cells, [[1, 1, 1, 1, 0, 2, 2]])


@pytest.mark.parametrize("shape", [(8, 9), (1, 1), (0, 0)])
def test_an_empty_map_has_no_cells(shape):
    nothing = np.zeros(shape, np.float32)
    found = find_instances(nothing, nothing, InstanceSettings())
    assert len(found) == 0
    assert found.cells.shape == shape
    assert found.cells.dtype == np.uint32
    assert found.boxes.shape == (0, 4)
    assert len(found.polygons) == 0


def test_every_cell_of_a_drawn_map_is_found_with_its_box_outline_and_score():
    drawn = draw_map(*SMALL)
    found = find_instances(drawn.inner, drawn.edge, InstanceSettings())
    assert len(found) == SMALL[1]
    np.testing.assert_array_equal(np.unique(found.cells), np.arange(SMALL[1] + 1))
    assert ((found.scores > 0.3) & (found.scores < 1)).all()
    for i in range(len(found)):
        ring = found.polygons[i]
        assert (*ring.min(axis=0), *ring.max(axis=0)) == tuple(found.boxes[i])


def test_maps_in_half_precision_are_read_too():
    drawn = draw_map(128, 4)
    halves = find_instances(
        drawn.inner.astype(np.float16), drawn.edge.astype(np.float16), InstanceSettings()
    )
    assert len(halves) == 4


def test_settings_are_imported_without_torch():
    code = "import sys, models.instances.settings, models.prediction.settings as _; "
    code += "sys.exit(bool({'torch', 'cv2', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
