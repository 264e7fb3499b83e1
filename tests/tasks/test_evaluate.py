from dataclasses import replace

import numpy as np
import pytest

from models.annotations import Role
from models.metrics.detection import evaluate as measure
from models.metrics.matching import ImageCells
from models.metrics.settings import EvaluationSettings
from storage.checkpoints import load_card
from storage.datasets.splits import Part
from storage.detections import open_detections
from storage.regions import Regions, open_regions
from tasks.evaluate import NOT_SAID, _apart, _figures, evaluate, images_by_truth
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


def test_the_stored_curve_keeps_only_where_recall_rises():
    cell, nothing = [0.0, 0, 10, 10], [[50.0 + n, 50, 60 + n, 60] for n in range(3)]
    found = np.array([*nothing[:2], cell, nothing[2]])
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    image = ImageCells("one", "slide", Role.POSITIVE, True, np.array([cell]), found, scores)
    result = measure([image], SETTINGS)
    assert len(result.curve.fps) == 4
    assert _figures(result)["curve"] == {"fps": [1.0, 2.0, 3.0], "recall": [0.0, 1.0, 1.0]}


def test_precision_is_drawn_where_every_cell_is_known_and_nowhere_else(ground, perfect):
    results = results_of(ground, perfect(Part.TEST, with_masks=False))
    curve = results["complete"]["precision_recall"]
    assert curve == {"recall": [1.0], "precision": [1.0]}
    assert results["partial"]["precision_recall"] is None


def test_figures_are_taken_apart_by_what_regions_say(ground, perfect):
    results = results_of(ground, perfect(Part.TEST, with_masks=False))["complete"]
    assert set(results["groups"]) == {"organ", "slide"}  # no region says a site
    organs, slides = results["groups"]["organ"], results["groups"]["slide"]
    assert len(organs) == 2
    assert sum(one["n_truth"] for one in organs.values()) == results["n_truth"]
    assert {one["instance_recall"] for one in organs.values()} == {1.0}
    assert {one["fps"] for one in organs.values()} == {0.0}
    negative = next(one for name, one in slides.items() if "negative" in name)
    assert (negative["n_truth"], negative["instance_recall"]) == (0, None)
    assert set(next(iter(organs.values()))["froc_recalls"]) == {"1", "2", "4", "8", "16", "32"}


def test_regions_that_do_not_say_their_site_are_a_group_of_their_own(ground, perfect):
    source = open_regions(ground.at, ground.regions)
    found = open_detections(ground.at, perfect(Part.TEST, with_masks=False))
    first, *others = TEST.of(source)
    chosen = (replace(first, attributes={"site": "one <hospital>"}), *others)
    (images, *_) = images_by_truth(source, found, chosen).values()
    sites = _apart(images, chosen, SETTINGS)["site"]
    counts = {name: one["n_images"] for name, one in sites.items()}
    assert counts == {"one <hospital>": 1, NOT_SAID: len(others)}


def test_the_card_says_over_how_many_slides_the_interval_goes(ground, perfect):
    assert results_of(ground, perfect(Part.TEST, with_masks=False))["complete"]["n_slides"] == 2


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
