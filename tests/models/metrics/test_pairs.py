import numpy as np
import pytest

from models.metrics import pairs
from models.metrics.pairs import Boxes, meetings


def scattered(n, seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-50, 50, (n, 2))
    image = np.sort(rng.integers(0, 3, n))
    return Boxes(np.hstack([corner, corner + rng.uniform(0, 30, (n, 2))]), image)


def test_portions_change_nothing(monkeypatch):
    query, other = scattered(80, 0), scattered(60, 1)
    whole = meetings(query, other)
    monkeypatch.setattr(pairs, "PAIRS_AT_ONCE", 7)
    parts = meetings(query, other)
    assert len(whole.query) > 100
    assert parts.query.tolist() == whole.query.tolist()
    assert parts.shared.tolist() == whole.shared.tolist()


def test_every_pair_that_shares_area_is_found_and_no_other():
    query, other = scattered(70, 2), scattered(50, 3)
    low = np.maximum(query.xyxy[:, None, :2], other.xyxy[None, :, :2])
    high = np.minimum(query.xyxy[:, None, 2:], other.xyxy[None, :, 2:])
    area = np.maximum(high - low, 0).prod(axis=2) * (query.image[:, None] == other.image)
    found = meetings(query, other)
    dense = np.zeros_like(area)
    dense[found.query, found.other] = found.shared
    assert np.array_equal(dense, area)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_neighbouring_images_stay_apart_at_any_scale(scale):
    tiles = np.array([[0.0, 0, 1, 1], [9, 0, 10, 1]] * 500) * scale
    boxes = Boxes(tiles, np.arange(1000) // 2)
    found = meetings(boxes, boxes)
    assert found.query.tolist() == found.other.tolist() == list(range(1000))


def test_no_boxes_meet_nothing():
    nothing = Boxes(np.zeros((0, 4)), np.zeros(0, np.int64))
    assert len(meetings(nothing, scattered(5, 0)).query) == 0
    assert len(meetings(scattered(5, 0), nothing).query) == 0


def test_boxes_that_only_touch_do_not_meet():
    one = Boxes(np.array([[0.0, 0, 1, 1]]), np.zeros(1, np.int64))
    beside = Boxes(np.array([[1.0, 0, 2, 1]]), np.zeros(1, np.int64))
    assert len(meetings(one, beside).query) == 0
