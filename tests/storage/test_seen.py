import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from storage.seen import SeenRegions

BOXES = np.array([[1.5, 2.0, 3.0, 4.25], [0.0, 1.0, 1e-17, 3.0]])
SCORES = np.array([0.1, 1 / 3])


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Let every region be sealed: between two looks at the clock 20 s go by."""
    clock = SimpleNamespace(monotonic=itertools.count(step=20).__next__)
    monkeypatch.setattr("storage.parts.time", clock)


def memory(tmp_path, weights):
    found = SeenRegions(tmp_path / "validation")
    found.begin(weights)
    return found


def test_what_was_seen_comes_back_bit_by_bit_in_another_process(tmp_path):
    before = memory(tmp_path, "w1")
    before.keep("a.b@0,0", BOXES, SCORES)
    before.keep("none@0,0", np.zeros((0, 4)), np.zeros(0))
    after = memory(tmp_path, "w1")
    boxes, scores = after.recall("a.b@0,0")
    np.testing.assert_array_equal(boxes, BOXES)
    np.testing.assert_array_equal(scores, SCORES)
    boxes, scores = after.recall("none@0,0")
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)
    assert after.recall("other@0,0") is None


def test_what_other_weights_saw_is_forgotten_on_disk_too(tmp_path):
    memory(tmp_path, "w1").keep("a@0,0", BOXES, SCORES)
    assert memory(tmp_path, "w2").recall("a@0,0") is None
    assert memory(tmp_path, "w1").recall("a@0,0") is None


def test_nothing_is_recalled_before_a_network_is_named(tmp_path):
    with pytest.raises(AssertionError, match="begin with its weights"):
        SeenRegions(tmp_path).keep("a@0,0", BOXES, SCORES)
    assert SeenRegions(tmp_path).recall("a@0,0") is None
