import numpy as np
import pytest
from skimage.segmentation import random_walker

from benchmarks.seeded_maps import LARGE, SMALL, draw_map
from models.instances import systems, walker
from models.instances.walker import DEVIATION, grow_seeds


def seeded(side_px, n_cells, seed=0):
    """A drawn map as seeds, foreground and data."""
    import cv2

    drawn = draw_map(side_px, n_cells, seed)
    core = drawn.inner > drawn.edge
    labels = cv2.connectedComponents(core.astype(np.uint8), connectivity=4)[1]
    return labels.astype(np.int32), drawn.inner + drawn.edge > 0.15, drawn.inner - drawn.edge


def whole_image_walker(seeds, foreground, data, beta):
    labels = np.where(foreground, seeds, -1)
    # The library divides beta by the deviation of the array it is given.
    beta *= data.std(dtype=np.float64) / DEVIATION
    grown = random_walker(data.astype(np.float64), labels, beta=beta, mode="bf")
    # The library numbers the seeds anew, without gaps.
    return np.unique(labels[labels >= 0])[np.maximum(grown, 0)]


def line(*values):
    return np.array([values], np.int32)


def everywhere(seeds):
    return np.ones(seeds.shape, bool)


def flat(seeds):
    return np.zeros(seeds.shape, np.float32)


@pytest.mark.parametrize("beta", [0, 10, 130])
def test_every_pixel_is_as_in_the_walker_of_the_whole_image(beta):
    seeds, foreground, data = seeded(*SMALL)
    grown = grow_seeds(seeds, foreground, data, beta)
    np.testing.assert_array_equal(grown, whole_image_walker(seeds, foreground, data, beta))


@pytest.mark.slow
def test_the_large_map_too_is_as_in_the_walker_of_the_whole_image():
    seeds, foreground, data = seeded(*LARGE)
    grown = grow_seeds(seeds, foreground, data, 10)
    np.testing.assert_array_equal(grown, whole_image_walker(seeds, foreground, data, 10))


def test_the_general_solver_agrees_with_the_banded_one(monkeypatch):
    seeds, foreground, data = seeded(256, 25)
    banded = grow_seeds(seeds, foreground, data, 10)
    monkeypatch.setattr(systems, "WIDEST_BAND", 0)
    monkeypatch.setattr(systems, "COLUMNS_AT_ONCE", 3)
    np.testing.assert_array_equal(grow_seeds(seeds, foreground, data, 10), banded)


def test_a_crowd_walked_in_tiles_is_the_same_as_in_one_piece(monkeypatch):
    seeds, foreground, data = seeded(400, 70)
    in_one_piece = grow_seeds(seeds, foreground, data, 10)
    monkeypatch.setattr(walker, "LARGEST_EXACT", 500)
    monkeypatch.setattr(walker, "TILE_PX", 64)
    in_tiles = grow_seeds(seeds, foreground, data, 10)
    assert (in_tiles == in_one_piece)[foreground].mean() > 0.999


def test_pixels_far_from_every_seed_are_reached_tile_by_tile(monkeypatch):
    monkeypatch.setattr(walker, "LARGEST_EXACT", 10)
    monkeypatch.setattr(walker, "TILE_PX", 8)
    monkeypatch.setattr(walker, "HALO_PX", 4)
    seeds = np.zeros((3, 101), np.int32)
    seeds[1, 1], seeds[1, 99] = 4, 9
    grown = grow_seeds(seeds, everywhere(seeds), flat(seeds), 10)
    assert set(np.unique(grown)) == {4, 9}
    assert (grown[:, :40] == 4).all()
    assert (grown[:, 61:] == 9).all()


@pytest.mark.parametrize("rest", [0.0, 1.0])
def test_where_a_cell_ends_does_not_depend_on_what_else_was_looked_at(rest):
    # Scikit-image's weights do: they are scaled by the deviation of the whole array.
    seeds, foreground, data = seeded(256, 25)
    alone = grow_seeds(seeds, foreground, data, 10)
    around = np.pad(data, 200, constant_values=rest)
    wider = grow_seeds(np.pad(seeds, 200), np.pad(foreground, 200), around, 10)
    np.testing.assert_array_equal(wider[200:-200, 200:-200], alone)


def test_seed_ids_with_gaps_are_kept():
    seeds = line(7, 0, 0, 0, 0, 42)
    np.testing.assert_array_equal(
        grow_seeds(seeds, everywhere(seeds), flat(seeds), 10), [[7, 7, 7, 42, 42, 42]]
    )


def test_more_than_a_hundred_seeds_of_one_component_all_grow():
    seeds = np.zeros((1, 150 * 4), np.int32)
    seeds[0, 1::4] = np.arange(1, 151) * 1000
    grown = grow_seeds(seeds, everywhere(seeds), flat(seeds), 10)
    values, counts = np.unique(grown, return_counts=True)
    np.testing.assert_array_equal(values, np.arange(1, 151) * 1000)
    assert counts.min() >= 3


def test_a_component_without_a_seed_becomes_background_and_one_with_a_single_seed_is_filled():
    seeds = line(0, 0, 0, 5, 0)
    foreground = line(1, 1, 0, 1, 1).astype(bool)
    grown = grow_seeds(seeds, foreground, flat(seeds), 10)
    np.testing.assert_array_equal(grown, [[0, 0, 0, 5, 5]])


def test_seeds_do_not_grow_diagonally():
    seeds = np.array([[3, 0], [0, 0]], np.int32)
    foreground = np.array([[1, 0], [0, 1]], bool)
    np.testing.assert_array_equal(grow_seeds(seeds, foreground, flat(seeds), 10), [[3, 0], [0, 0]])


def test_seeds_outside_the_foreground_are_dropped():
    seeds = line(2, 0, 8)
    foreground = line(0, 1, 1).astype(bool)
    np.testing.assert_array_equal(grow_seeds(seeds, foreground, flat(seeds), 10), [[0, 8, 8]])


@pytest.mark.parametrize(("left", "right"), [(3, 9), (9, 3)])
def test_pixels_halfway_go_to_the_smaller_id_on_either_side(left, right):
    seeds = np.zeros((23, 31), np.int32)
    seeds[9:14, 2], seeds[9:14, -3] = left, right
    grown = grow_seeds(seeds, everywhere(seeds), flat(seeds), 10)
    assert (grown[:, 15] == 3).all()
    assert (grown[:, :15] == left).all()
    assert (grown[:, 16:] == right).all()


def test_a_step_in_the_data_stops_the_walker():
    seeds = line(1, 0, 0, 0, 0, 2)
    data = np.array([[0, 0, 0, 0, 1, 1]], np.float32)
    grown = grow_seeds(seeds, everywhere(seeds), data, 100)
    np.testing.assert_array_equal(grown, [[1, 1, 1, 1, 2, 2]])


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (5, 0)])
def test_nothing_grows_from_nothing(shape):
    nothing = np.zeros(shape, np.int32)
    grown = grow_seeds(nothing, nothing.astype(bool), nothing.astype(np.float32), 10)
    assert grown.shape == shape
    assert grown.dtype == np.int32
    assert not grown.any()


def test_the_seeds_that_are_handed_in_stay_as_they_are():
    seeds = line(1, 0, 0, 2)
    before = seeds.copy()
    grow_seeds(seeds, everywhere(seeds), flat(seeds), 10)
    np.testing.assert_array_equal(seeds, before)
