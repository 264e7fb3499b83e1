"""The cards of rounds, on checkpoints and detections that really lie in a workspace."""

import uuid

import numpy as np
import pytest
import torch

from models.annotations import Detections, Polygons
from models.errors import OperationsError
from models.methods.settings import AlarmSettings
from models.runtime_settings import DaskSettings
from storage import cluster
from storage.checkpoints import load_card, save_card, save_checkpoint
from storage.detections import DetectionDraft
from storage.layout import Kind, Ref, Workspace
from storage.parts import Parts
from tasks.evidence import Round
from tasks.stage import Run
from tasks.weigh import choose, weigh


@pytest.fixture
def run(tmp_path):
    return Run(Workspace(tmp_path), "r")


def trained(run, froc, *, fps=1.0, recall=0.5, normal=4.0):
    """Return a checkpoint whose kept weights validation measured so."""
    kept = {
        "validation_froc": froc, "validation_fps": fps, "validation_recall": recall,
        "validation_normal_regions": normal, "validation_froc_low": froc - 0.1,
        "validation_froc_high": froc + 0.1,
    }  # fmt: skip
    card = {"best_epoch": 1, "history": [kept, {"loss": 1.0}]}
    return save_checkpoint(run.at, {"w": torch.tensor([froc, fps, recall, normal])}, card)


def weighed(run, number, checkpoint, before=None, seen=(), verdict=None):
    labels = Ref(Kind.LABELS, "l")
    made = Round(number, labels, checkpoint, labels, verdict)
    words = {"made": made, "before": before, "seen": seen, "alarm": AlarmSettings()}
    return weigh(run, f"round {number}", **words)


def test_a_card_says_what_validation_said_of_the_weights_that_were_kept(run):
    verdict = save_card(run.at, {"growth": 0.2, "churn": 0.1, "goes_on": True, "reason": "still"})
    card = load_card(run.at, weighed(run, 1, trained(run, 0.4), verdict=verdict))
    assert card["validation"] == {
        "froc": 0.4, "froc_low": pytest.approx(0.3), "froc_high": 0.5, "recall": 0.5, "fps": 1.0,
    }  # fmt: skip
    assert (card["labels"]["growth"], card["labels"]["reason"]) == (0.2, "still")
    assert (card["alarms"], card["fps_history"], card["disagreement"]) == ([], [1.0], None)


def test_rising_false_positives_and_a_recall_that_stalls_are_an_alarm(run):
    first = weighed(run, 0, trained(run, 0.4, fps=0.4, recall=0.46))
    second = weighed(run, 1, trained(run, 0.6, fps=2.3, recall=0.67), first)
    third = weighed(run, 2, trained(run, 0.56, fps=5.2, recall=0.64), second)
    cards = [load_card(run.at, one) for one in (first, second, third)]
    assert [len(card["alarms"]) for card in cards] == [0, 0, 1]
    assert cards[2]["fps_history"] == [0.4, 2.3, 5.2]


def test_without_a_normal_region_there_are_no_false_positives_to_count(run):
    first = weighed(run, 0, trained(run, 0.4, fps=0.4, normal=0.0))
    second = weighed(run, 1, trained(run, 0.4, fps=9.0, normal=0.0), first)
    card = load_card(run.at, second)
    assert (card["validation"]["fps"], card["alarms"]) == (None, [])


def test_the_choice_names_the_card_that_decided_and_every_alarm(run):
    first = weighed(run, 1, trained(run, 0.6, fps=0.4))
    second = weighed(run, 2, trained(run, 0.3, fps=4.0), first)
    card = load_card(run.at, choose(run, "a", cards=(first, second), margin=0.05))
    assert (card["kept"], card["round"], card["decided_by"]) == (0, 1, first.digest)
    assert card["reason"].startswith("rolled back")
    (alarm,) = card["alarms"]
    assert (alarm["round"], alarm["card"]) == (2, second.digest)


def found(run, name, *boxes):
    at = np.array(boxes, np.float64).reshape(-1, 4)
    cells = Detections(at, np.full(len(at), 0.9), Polygons.none(len(at)))
    draft = DetectionDraft(run.at, Parts(run.at.root / f"parts-{uuid.uuid4().hex}"))
    draft.put("r", cells, None)
    return draft.commit({"checkpoint": name})


def test_disagreement_is_the_share_of_cells_that_one_network_sees_alone(run):
    both, mine, theirs = (0, 0, 10, 10), (20, 20, 30, 30), (40, 40, 50, 50)
    seen = (found(run, "a", both, mine), found(run, "b", both, theirs))
    card = load_card(run.at, weighed(run, 1, trained(run, 0.4), seen=seen))
    assert card["disagreement"] == pytest.approx(2 / 4)
    same = (found(run, "a", both), found(run, "b", both))
    card = load_card(run.at, weighed(run, 1, trained(run, 0.4), seen=same))
    assert card["disagreement"] == 0.0


def test_what_two_networks_saw_is_compared_by_the_cluster_that_was_named(run, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 0.2)
    seen, weights = (found(run, "a"), found(run, "b")), trained(run, 0.4)
    named = Run(run.at, "r", dask=DaskSettings(address="tcp://127.0.0.1:9"))
    with pytest.raises(OperationsError, match="no Dask scheduler answers"):
        weighed(named, 1, weights, seen=seen)
    card = weighed(run, 1, weights, seen=seen)
    assert weighed(named, 1, weights, seen=seen) == card  # the same key
