import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.metrics.froc import Evidence, curve, froc, recall_at


def evidence(events, n_truth, n_images):
    """Return evidence from (score, slide, hit) rows."""
    rows = sorted(events, key=lambda row: -row[0])
    return Evidence(
        np.array([row[0] for row in rows], float),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], bool),
        np.array(n_truth, float),
        np.array(n_images, float),
    )


def recall_by_brute_force(one, allowed, weights):
    best = 0.0
    for threshold in set(one.scores.tolist()):
        taken = [i for i, score in enumerate(one.scores) if score >= threshold]
        false = sum(weights[one.slide[i]] for i in taken if not one.hit[i])
        hits = sum(weights[one.slide[i]] for i in taken if one.hit[i])
        if false / (weights @ one.n_images) <= allowed:
            best = max(best, hits / (weights @ one.n_truth))
    return best


@st.composite
def cases(draw):
    n_slides = draw(st.integers(1, 4))
    row = st.tuples(st.integers(0, 8), st.integers(0, n_slides - 1), st.booleans())
    events = draw(st.lists(row, max_size=30))
    counts = st.lists(st.integers(1, 9), min_size=n_slides, max_size=n_slides)
    one = evidence(events, np.array(draw(counts)) + 30, draw(counts))
    weights = draw(st.lists(st.lists(st.integers(0, 3), min_size=n_slides, max_size=n_slides),
                            min_size=1, max_size=3))  # fmt: skip
    return one, np.array(weights, float)


@settings(max_examples=300, deadline=None)
@given(cases(), st.sampled_from([2, 3, 128]))
def test_recall_equals_a_brute_force_version_for_every_weighting(case, block):
    one, weights = case
    points = (0.25, 0.5, 1.0, 2.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.metrics.froc.SMALLEST_BLOCK", block)
        found = recall_at(one, points, weights)
    for row, weight in zip(found, weights, strict=True):
        if weight.sum() == 0:
            assert np.isnan(row).all()
            continue
        expected = [recall_by_brute_force(one, point, weight) for point in points]
        assert row == pytest.approx(expected)


def test_recall_is_read_at_most_at_the_allowed_false_positives():
    # One negative image; found, false, found, false, found; four cells.
    one = evidence(
        [(0.9, 0, True), (0.8, 1, False), (0.7, 0, True), (0.6, 1, False), (0.5, 0, True)],
        [4, 0], [0, 1],
    )  # fmt: skip
    score, recalls = froc(one, (0.5, 1, 2))
    assert recalls.tolist() == [0.25, 0.5, 0.75]
    assert score == 0.5


def test_beyond_the_last_false_positive_the_final_recall_holds():
    one = evidence([(0.9, 0, True), (0.8, 1, False), (0.1, 0, True)], [4, 0], [0, 1])
    assert froc(one, (1, 2, 32))[1].tolist() == [0.5, 0.5, 0.5]


def test_detections_of_equal_score_are_one_threshold():
    tied = evidence([(0.9, 0, True), (0.5, 0, True), (0.5, 1, False), (0.5, 1, False)], [4], [1, 1])
    tied = Evidence(tied.scores, tied.slide, tied.hit, np.array([4.0, 0]), np.array([0.0, 1]))
    # Only both false positives of 0.5 together can be had, and two are too many.
    assert froc(tied, (1,))[1].tolist() == [0.25]
    assert froc(tied, (2,))[1].tolist() == [0.5]


def test_a_tie_longer_than_a_block_is_still_one_threshold(monkeypatch):
    monkeypatch.setattr("models.metrics.froc.SMALLEST_BLOCK", 4)
    rows = [(0.9, 0, True)] + [(0.5, 0, True)] * 20 + [(0.5, 0, False)] * 20 + [(0.1, 0, True)]
    one = evidence(rows, [100], [1])
    assert froc(one, (19, 20))[1].tolist() == [0.01, 0.22]


def test_no_detection_at_all_has_no_recall():
    assert froc(evidence([], [3], [1]), (1, 2))[0] == 0


def test_the_corners_of_a_curve_are_where_recall_rises():
    rows = [(0.9, 0, True), (0.8, 0, False), (0.7, 0, True), (0.6, 0, False), (0.5, 0, False)]
    corners = curve(evidence(rows, [4], [1])).corners()
    assert corners.score.tolist() == [0.9, 0.7, 0.5]
    assert corners.fps.tolist() == [0, 1, 3]
    assert len(curve(evidence([], [4], [1])).corners().fps) == 0


def test_the_curve_has_one_point_per_score():
    one = evidence([(0.9, 0, True), (0.5, 0, False), (0.5, 0, True), (0.2, 0, False)], [4], [2])
    points = curve(one)
    assert points.score.tolist() == [0.9, 0.5, 0.2]
    assert points.recall.tolist() == [0.25, 0.5, 0.5]
    assert points.fps.tolist() == [0.0, 0.5, 1.0]
