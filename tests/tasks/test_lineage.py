"""The chain of labels and networks, as data and as a page."""

from html.parser import HTMLParser

from storage.checkpoints import load_card
from storage.labels.store import open_version
from storage.layout import Kind, Ref
from storage.report.lineage import boxes_of, build_lineage_page
from tasks.lineage import alarms_in, lineage_of
from tasks.report import read_lineage


class Texts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.links = [], []

    def handle_data(self, data):
        self.found.append(data.strip())

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in {"src", "href"}]


def test_every_round_names_its_labels_its_network_and_its_card(conducted):
    at, inputs = conducted.ground.at, conducted.inputs
    lineage = lineage_of(at, inputs)
    assert len(lineage["chains"]) == len(inputs.arms)
    for chain, arm in zip(lineage["chains"], inputs.arms, strict=True):
        assert [one["labels_out"] for one in chain["rounds"]] == [
            one.labels.digest for one in arm.rounds
        ]
        for one in chain["rounds"]:
            version = open_version(at, Ref(Kind.LABELS, one["labels_out"]))
            assert one["n_cells"] == version.info.n_cells
            assert load_card(at, Ref(Kind.CARD, one["card"]))["checkpoint"] == one["checkpoint"]
        if len(arm.rounds) > 1:
            assert chain["choice"]["card"] in {one["card"] for one in chain["rounds"]}


def test_the_report_keeps_it(conducted):
    found = read_lineage(conducted.ground.at, conducted.report)
    assert found == lineage_of(conducted.ground.at, conducted.inputs)


def test_a_chain_is_drawn_from_where_it_began(conducted):
    lineage = lineage_of(conducted.ground.at, conducted.inputs)
    chain = next(one for one in lineage["chains"] if one["arm"] == "self")
    boxes = boxes_of(chain, lineage)
    assert boxes[0].title == "version 0"
    assert [box.title for box in boxes[1:]] == [f"round {one['round']}" for one in chain["rounds"]]
    assert [box.kept for box in boxes].count(True) == 1


def alarmed():
    labels = {"growth": 0.1, "churn": 0.2, "relative_area": None}
    seen = {"froc": 0.4, "froc_low": None, "froc_high": None, "recall": 0.5, "fps": 5.2}
    alarm = "confirmation bias: <b>x</b>"
    one = {
        "round": 2, "labels_in": "a" * 32, "labels_out": "b" * 32, "n_cells": {"human": 3},
        "checkpoint": "c" * 32, "card": "d" * 32, "labels": labels, "validation": seen,
        "disagreement": 0.25, "alarms": [alarm],
    }  # fmt: skip
    chain = {
        "split": "hard", "fold": 0, "seed": 0, "arm": "self_extra", "model": "a", "kept": 2,
        "choice": {"reason": "the last", "card": "d" * 32}, "stopped": None,
        "start": {"labels": "a" * 32, "n_cells": {"human": 3}}, "rounds": [one],
        "alarms": [{"round": 2, "alarm": alarm, "card": "d" * 32}],
    }  # fmt: skip
    return {"dataset": "e" * 32, "version_0": "a" * 32, "chains": [chain]}


def test_the_page_shows_the_alarm_as_text_and_reaches_for_nothing_outside():
    page = Texts()
    page.feed(build_lineage_page(alarmed(), b"png"))
    assert "confirmation bias: <b>x</b> (card dddddddd)." in page.found
    assert "Alarm in round 2:" in page.found
    assert {link.split(",")[0] for link in page.links} <= {"data:image/png;base64"}


def test_an_alarm_says_where_it_was():
    assert list(alarms_in(alarmed())) == [
        "hard fold 0 seed 0 · a · self_extra round 2: confirmation bias: <b>x</b>"
    ]
