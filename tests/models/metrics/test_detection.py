import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.annotations import Role
from models.errors import EmptyDatasetError
from models.metrics.detection import difference, evaluate
from models.metrics.matching import ImageCells
from models.metrics.outcome import FpsBasis
from models.metrics.settings import EvaluationSettings

PLAIN = EvaluationSettings(bootstrap=0)


def grid(n, shift=0.0):
    return np.array([[20.0 * i + shift, 0, 20 * i + 10 + shift, 10] for i in range(n)]).reshape(
        -1, 4
    )


def image(name="p", role=Role.POSITIVE, *, cells=4, found=2, false=1, **known):
    predicted = np.vstack([grid(found), grid(false) + 1000])
    scores = np.linspace(0.9, 0.2, found + false)
    complete, slide = known.get("complete", False), known.get("slide", name)
    return ImageCells(name, slide, role, complete, grid(cells), predicted, scores)


def negative(name="n", false=3):
    return image(name, Role.NEGATIVE, cells=0, found=0, false=false)


def test_false_positives_are_counted_on_negative_images_when_there_are_any():
    result = evaluate([image(), image("q", complete=True), negative()], PLAIN)
    assert result.fps_basis is FpsBasis.NEGATIVE
    assert result.fps == 3
    assert (result.n_positive_images, result.n_negative_images) == (2, 1)
    assert result.instance_recall == 0.5
    assert result.n_predictions == 9


def test_without_negative_images_they_are_counted_on_complete_ones():
    result = evaluate([image(false=5), image("q", false=2, complete=True)], PLAIN)
    assert result.fps_basis is FpsBasis.COMPLETE
    assert result.fps == 2


def test_with_neither_the_basis_says_that_unmarked_cells_count_as_errors():
    result = evaluate([image(false=5), image("q", false=2)], PLAIN)
    assert result.fps_basis is FpsBasis.PARTIAL
    assert result.fps == 3.5


def test_precision_is_null_unless_every_positive_image_is_complete():
    partial = [image(), image("q", complete=True), negative()]
    assert evaluate(partial, PLAIN).precision is None
    assert evaluate(partial, PLAIN).ap_30 is None
    complete = [image(complete=True), image("q", complete=True), negative()]
    assert evaluate(complete, PLAIN).precision == pytest.approx(4 / 6)
    assert evaluate(complete, PLAIN).ap_30 == pytest.approx(0.5)


def test_unlabelled_images_count_for_nothing():
    unlabelled = image("u", Role.UNLABELLED, cells=9, found=0, false=7)
    bare, more = (
        evaluate([image(), negative()], PLAIN),
        evaluate([image(), negative(), unlabelled], PLAIN),
    )
    assert more.figures() == bare.figures() | {"n_predictions": bare.n_predictions + 7}


def test_the_two_nfps_are_told_apart():
    result = evaluate([image(), negative(false=30)], PLAIN)
    assert (result.fps, result.nfps_score) == (30, 70)
    assert evaluate([image(), negative(false=130)], PLAIN).nfps_score == 0


def test_no_annotated_cell_is_refused():
    with pytest.raises(EmptyDatasetError, match="recall is undefined"):
        evaluate([negative()], PLAIN)
    with pytest.raises(EmptyDatasetError, match="none of the 0 images"):
        evaluate([], PLAIN)


def test_no_detection_at_all_is_an_evaluation():
    result = evaluate([image(found=0, false=0, complete=True)], PLAIN)
    assert (result.instance_recall, result.froc, result.fps) == (0, 0, 0)
    assert result.precision is None


def test_the_figures_are_those_of_the_contract():
    keys = {
        "instance_recall", "collective_recall", "fps", "fps_basis", "froc", "froc_recalls",
        "precision", "nfps_score", "n_truth", "n_predictions", "n_positive_images",
        "n_negative_images",
    }  # fmt: skip
    figures = evaluate([image(), negative()], PLAIN).figures()
    assert set(figures) == keys
    assert list(figures["froc_recalls"]) == ["1", "2", "4", "8", "16", "32"]


def test_a_minimum_precision_cuts_the_curve():
    # Seven false positives of the positive image come before its second hit.
    predicted = np.vstack([grid(1), grid(7) + 1000, grid(2)[1:]])
    one = ImageCells("p", "p", Role.POSITIVE, False, grid(4), predicted, np.linspace(0.9, 0.1, 9))
    both = [one, negative(false=0)]
    assert evaluate(both, PLAIN).froc == 0.5
    assert evaluate(both, PLAIN.model_copy(update={"minimum_precision": 0.5})).froc == 0.25


def test_slides_are_resampled_not_images():
    many = [image(str(i), found=i % 5, slide="one") for i in range(8)]
    assert evaluate([*many, negative()], EvaluationSettings()).froc_interval is None
    spread = [image(str(i), found=i % 5, slide=str(i)) for i in range(8)]
    low, high = evaluate([*spread, negative()], EvaluationSettings()).froc_interval or (0, 0)
    assert 0 < low < evaluate([*spread, negative()], PLAIN).froc < high < 1


def test_a_paired_difference_has_the_sign_of_the_better_one():
    worse = [image(str(i), found=1 + i % 2) for i in range(6)]
    better = [image(str(i), found=2 + i % 2) for i in range(6)]
    found = difference(
        evaluate(better, PLAIN), evaluate(worse, PLAIN), EvaluationSettings(bootstrap=100)
    )
    assert found.froc == pytest.approx(0.25)
    assert found.interval is not None
    assert found.interval == pytest.approx((0.25, 0.25))


corner, side = st.integers(0, 60), st.integers(1, 25)
some_boxes = st.lists(st.tuples(corner, corner, side, side), min_size=1, max_size=15).map(
    lambda rows: np.array([(x, y, x + w, y + h) for x, y, w, h in rows], float) / 7
)


@settings(max_examples=300, deadline=None)
@given(some_boxes, some_boxes, st.sampled_from([0.1, 0.3, 0.5]))
def test_collective_recall_is_never_below_instance_recall(truth, predicted, iou):
    one = ImageCells(
        "a", "a", Role.POSITIVE, False, truth, predicted, np.linspace(1, 0, len(predicted))
    )
    result = evaluate([one], EvaluationSettings(iou=iou, collective=iou, bootstrap=0))
    assert result.collective_recall >= result.instance_recall


@settings(max_examples=100, deadline=None)
@given(some_boxes, some_boxes)
def test_recall_never_falls_with_more_false_positives_allowed(truth, predicted):
    scores = np.linspace(1, 0, len(predicted))
    images = [
        ImageCells("a", "a", Role.POSITIVE, False, truth, predicted, scores),
        ImageCells("b", "b", Role.NEGATIVE, True, np.zeros((0, 4)), predicted, scores),
    ]
    recalls = list(evaluate(images, PLAIN).froc_recalls.values())
    assert recalls == sorted(recalls)


def test_metrics_import_no_torch():
    code = "import sys, models.metrics.detection; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def found_by_hand(image):
    """Return which detections of an image find a cell, greedily by falling score."""
    free, hits = set(range(len(image.truth))), set()
    for row in np.argsort(-image.scores, kind="stable").tolist():
        near = [(iou_of(image.predicted[row], image.truth[cell]), -cell) for cell in free]
        overlap, cell = max(near, default=(0.0, 0))
        if overlap >= 0.3:
            free.remove(-cell)
            hits.add(row)
    return hits


def covered_by_hand(image):
    """Return how many cells of an image lie under detections to three tenths, by their pixels."""
    seen = np.zeros((120, 120), bool)
    for x0, y0, x1, y1 in image.predicted.astype(int) + 10:
        seen[y0:y1, x0:x1] = True
    return sum(seen[y0:y1, x0:x1].mean() >= 0.3 for x0, y0, x1, y1 in image.truth.astype(int) + 10)


def recall_by_hand(hits, false, allowed, n_truth):
    """Return recall at the lowest score with no more false positives than allowed."""
    recall = 0.0
    for threshold in sorted({*hits, *false}, reverse=True):
        if sum(score >= threshold for score in false) > allowed:
            break
        recall = sum(score >= threshold for score in hits) / n_truth
    return recall


def by_hand(images, points):
    """Return recall, collective recall, false positives and FROC by plain loops and pixels."""
    hits: list[float] = []
    false: list[float] = []
    for one in images:
        found = found_by_hand(one)
        hits.extend(one.scores[row] for row in found)
        if one.role is Role.NEGATIVE:
            false.extend(one.scores[row] for row in range(len(one.scores)))
    n_truth = sum(len(one.truth) for one in images)
    n_negative = sum(one.role is Role.NEGATIVE for one in images)
    recalls = [recall_by_hand(hits, false, point * n_negative, n_truth) for point in points]
    n_covered = sum(covered_by_hand(one) for one in images)
    return (
        len(hits) / n_truth, n_covered / n_truth, len(false) / n_negative,
        sum(recalls) / len(recalls),
    )  # fmt: skip


def iou_of(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_all_figures_equal_those_counted_by_hand(draw_scene, seed):
    images = draw_scene(seed)
    points = EvaluationSettings(bootstrap=0, fps_points=(0.5, 1, 2, 4, 8))
    result = evaluate(images, points)
    figures = result.instance_recall, result.collective_recall, result.fps, result.froc
    assert figures == pytest.approx(by_hand(images, points.fps_points))
    assert result.collective_recall >= result.instance_recall
