from dataclasses import replace

import numpy as np
import pytest

from models.annotations import Role
from models.metrics.settings import EvaluationSettings
from storage.checkpoints import load_card
from storage.datasets.splits import Part
from storage.detections import open_detections
from storage.regions import Regions, open_regions
from tasks.evaluate import evaluate, images_by_truth
from tasks.trial import ANNOTATED, Selection, Trial

SETTINGS = EvaluationSettings(bootstrap=50)
TEST = Selection(Trial("hard", 0, 0), Part.TEST, ANNOTATED)


def results_of(ground, detections, selection=TEST):
    card = evaluate(
        ground.run, "evaluate", regions=ground.regions, selection=selection,
        detections=detections, settings=SETTINGS,
    )  # fmt: skip
    return load_card(ground.at, card)["results"]


def test_a_perfect_network_has_full_recall_against_both_truths(ground, perfect):
    results = results_of(ground, perfect(Part.TEST, with_masks=False))
    for truth in ("partial", "complete"):
        assert results[truth]["instance_recall"] == 1.0
        assert results[truth]["froc"] == 1.0
        assert results[truth]["fps_basis"] == "negative_images"
        assert results[truth]["fps"] == 0.0
    assert (results["partial"]["n_truth"], results["complete"]["n_truth"]) == (4, 6)


def test_partial_truth_does_not_know_what_a_person_forgot(ground, perfect):
    source = open_regions(ground.at, ground.regions)
    positive = next(one for one in TEST.of(source) if one.role is Role.POSITIVE)
    marked = source.annotations(positive.region_id).boxes[:1]
    results = results_of(ground, perfect(Part.TEST, boxes=marked.tolist(), with_masks=False))
    assert results["complete"]["instance_recall"] < results["partial"]["instance_recall"]


def test_false_positives_are_those_on_normal_regions(ground, perfect):
    results = results_of(ground, perfect(Part.TEST, boxes=[[2, 60, 12, 70]], with_masks=False))
    assert results["complete"]["fps"] == results["partial"]["fps"] == 1.0
    assert results["complete"]["instance_recall"] == 0.0


def test_the_curve_is_stored_for_the_page(ground, perfect):
    curve = results_of(ground, perfect(Part.TEST, with_masks=False))["complete"]["curve"]
    assert curve["recall"][-1] == 1.0
    assert len(curve["fps"]) == len(curve["recall"])


def test_an_interval_needs_two_annotated_slides(ground, perfect):
    both = results_of(ground, perfect(Part.TEST, with_masks=False))["complete"]
    assert both["froc_low"] <= both["froc"] <= both["froc_high"]
    validation = Selection(TEST.trial, Part.VALIDATION, ANNOTATED)  # one organ
    alone = results_of(ground, perfect(Part.VALIDATION, with_masks=False), validation)
    assert alone["complete"]["froc_low"] is None


def test_without_complete_truth_on_every_positive_region_there_is_only_the_partial(
    ground, perfect, monkeypatch
):
    source = open_regions(ground.at, ground.regions)
    chosen = TEST.of(source)
    found = open_detections(ground.at, perfect(Part.TEST, with_masks=False))
    assert set(images_by_truth(source, found, chosen)) == {"partial", "complete"}
    one_unknown = tuple(
        replace(info, complete=info.complete and n > 0)
        for n, info in enumerate(sorted(chosen, key=lambda one: one.role is not Role.POSITIVE))
    )
    assert set(images_by_truth(source, found, one_unknown)) == {"partial"}


def test_selection_by_partial_labels_never_opens_the_complete_truth(ground, perfect, monkeypatch):
    source = open_regions(ground.at, ground.regions)
    found = open_detections(ground.at, perfect(Part.TEST, with_masks=False))
    unknown = tuple(replace(info, complete=False) for info in TEST.of(source))
    monkeypatch.delattr(Regions, "truth")
    (images,) = images_by_truth(source, found, unknown).values()
    assert sum(len(one.truth) for one in images) == 4


def test_a_negative_region_counts_as_completely_annotated(ground, perfect):
    source = open_regions(ground.at, ground.regions)
    found = open_detections(ground.at, perfect(Part.TEST, with_masks=False))
    for images in images_by_truth(source, found, TEST.of(source)).values():
        negative = [one for one in images if one.role is Role.NEGATIVE]
        assert all(one.complete and len(one.truth) == 0 for one in negative)
        assert len(negative) == 2
        assert np.concatenate([one.scores for one in images]).size == pytest.approx(6)
