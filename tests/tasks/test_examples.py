import numpy as np
import pytest

from models.annotations import Role
from models.metrics.settings import EvaluationSettings
from storage.datasets.splits import Part
from storage.regions import open_regions
from tasks.evidence import ArmEvidence, Round
from tasks.examples import SIDE_PX, _sides, examples
from tasks.report import ReportInputs
from tasks.trial import ANNOTATED, Selection, Trial

TRIAL = Trial("hard", 0, 0)


def arm(ground, name, detections, model="a", trial=TRIAL):
    one = Round(1, ground.annotated, ground.annotated, ground.annotated)
    return ArmEvidence(trial, name, model, (one,), 0, 4, (), None, detections, None)


def shown(ground, *arms, iou=0.3):
    inputs = ReportInputs(ground.dataset, ground.regions, ground.annotated, arms)
    return examples(ground.at, inputs, EvaluationSettings(iou=iou))


def counts(panel):
    return {name: len(getattr(panel, name)) for name in ("hit", "missed", "false", "unmarked")}


@pytest.fixture(scope="module")
def one_false(ground, perfect):
    return perfect(Part.TEST, boxes=[[2, 60, 12, 70]], with_masks=False)


def test_what_a_perfect_network_finds_is_a_hit_everywhere(ground, perfect):
    found = shown(ground, arm(ground, "self", perfect(Part.TEST, with_masks=False)))
    assert len(found) == 2  # two positive regions; none has a false cell
    for one in found:
        assert counts(one.panels[0]) == {"hit": 3, "missed": 0, "false": 0, "unmarked": 0}
        assert max(one.image.shape[:2]) <= SIDE_PX


def test_missed_and_false_cells_are_told_apart_and_normal_tissue_is_shown(ground, one_false):
    found = shown(ground, arm(ground, "self", one_false))
    captions = [one.caption for one in found]
    assert [text.split(":")[0] for text in captions] == [
        "Worst of 2 annotated regions", "Best of 2 annotated regions",
        "Most false cells on normal tissue",
    ]  # fmt: skip
    assert counts(found[0].panels[0]) == {"hit": 0, "missed": 3, "false": 1, "unmarked": 0}
    assert counts(found[2].panels[0]) == {"hit": 0, "missed": 0, "false": 1, "unmarked": 0}
    assert "(organ" in captions[0]
    assert captions[0].endswith("complete truth")


def test_the_worst_region_is_the_one_with_the_largest_share_of_errors(ground, perfect):
    source = open_regions(ground.at, ground.regions)
    test = Selection(TRIAL, Part.TEST, (Role.POSITIVE,)).of(source)
    first = source.truth(test[0].region_id)
    assert first is not None
    # The cells of the other region lie a pixel aside: at this overlap they are not found.
    found = perfect(Part.TEST, boxes=first.boxes.tolist(), with_masks=False)
    worst, best, *_ = shown(ground, arm(ground, "self", found), iou=0.95)
    assert best.caption.startswith(f"Best of 2 annotated regions: {test[0].region_id}")
    assert (counts(worst.panels[0])["hit"], counts(best.panels[0])["hit"]) == (0, 3)


def test_without_complete_truth_a_detection_is_not_called_false(ground, one_false, monkeypatch):
    from dataclasses import replace

    import tasks.trial

    def incomplete(self, source):
        kept = select(self, source)
        return tuple(replace(info, complete=info.role is Role.NEGATIVE) for info in kept)

    select = tasks.trial.Selection.of
    monkeypatch.setattr(tasks.trial.Selection, "of", incomplete)
    found = shown(ground, arm(ground, "self", one_false))
    assert counts(found[0].panels[0]) == {"hit": 0, "missed": 2, "false": 0, "unmarked": 1}
    assert found[0].caption.endswith("partial truth")
    assert counts(found[-1].panels[0])["false"] == 1  # normal tissue is free of the target


def test_the_first_arm_stands_beside_the_furthest(ground, perfect, one_false):
    arms = [
        arm(ground, "supervised", one_false),
        arm(ground, "supervised_longer", one_false),
        arm(ground, "self", perfect(Part.TEST, with_masks=False)),
        arm(ground, "self_longer", one_false),
    ]
    assert [one.arm for one in _sides(arms)] == ["supervised", "self"]
    assert [one.arm for one in _sides(arms[:1])] == ["supervised"]
    titles = {tuple(panel.title for panel in one.panels) for one in shown(ground, *arms)}
    assert titles == {("supervised, a", "self-training, a")}


def test_only_the_first_trial_is_drawn_and_every_network_of_it(ground, one_false):
    arms = [
        arm(ground, "self", one_false), arm(ground, "self", one_false, "b"),
        arm(ground, "self", one_false, "c", Trial("hard", 1, 0)),
    ]  # fmt: skip
    titles = [one.panels[0].title for one in shown(ground, *arms)]
    assert titles == ["self-training, a"] * 3 + ["self-training, b"] * 3


def test_outlines_lie_over_their_cells(ground, perfect):
    found = shown(ground, arm(ground, "self", perfect(Part.TEST, with_masks=False)))
    for one in found:
        for row in range(3):
            x, y = one.panels[0].hit[row].mean(axis=0).astype(int)
            assert one.image[y, x].sum() < 350  # dark, as painted


def test_an_arm_that_was_not_evaluated_is_a_mistake(ground):
    with pytest.raises(AssertionError, match="evaluated arms"):
        shown(ground, arm(ground, "self", None))


def test_regions_of_the_test_part_only_are_shown(ground, one_false):
    source = open_regions(ground.at, ground.regions)
    allowed = {info.region_id for info in Selection(TRIAL, Part.TEST, ANNOTATED).of(source)}
    for one in shown(ground, arm(ground, "self", one_false)):
        assert any(name in one.caption for name in allowed)
    assert np.all([len(one.panels) == 1 for one in shown(ground, arm(ground, "self", one_false))])
