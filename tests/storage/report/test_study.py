import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from storage.report.comparison import (
    MEASURES,
    Beside,
    ComparedRow,
    Comparison,
    Estimate,
    Paper,
    PublishedRow,
)
from storage.report.model import CONTROLS, Gain
from storage.report.remarks import not_comparable, not_concluded
from storage.report.study import build_study_page, public
from storage.report.text import DASH

PAPER = Paper(
    study="table1",
    title="Table 1 of <somebody>",
    citation="Somebody 2019",
    arms=(("supervised", "FT"), ("self", "ST")),
    rows=(PublishedRow("hard", "self", 0.61, 0.52, 1.18, 0.517),),
    networks="its own network",
    data=(("positive regions", "74 of 21 slides"),),
    differences=("The paper names no validation data.",),
)
FROC = {"supervised": 0.2, "supervised_longer": 0.25, "self": 0.4}


def estimate(value):
    return Estimate(value, value - 0.05, value + 0.05)


def figures(value):
    return dict.fromkeys(MEASURES, estimate(value))


def beside(arm, other, mode, truth):
    difference = FROC[arm] - FROC[other]
    gain = Gain(
        mode=mode, model="a", truth=truth, arm=arm, control=other, n_trials=3, n_slides=12,
        froc=FROC[arm], control_froc=FROC[other], interval=(difference - 0.05, difference + 0.05),
        n_steps=30, control_steps=30,
    )  # fmt: skip
    return Beside(gain, figures(difference))


def row(arm, mode="hard", truth="partial", **changed):
    control = CONTROLS.get(arm)
    known = ComparedRow(
        mode=mode, truth=truth, model="a", arm=arm, figures=figures(FROC[arm]),
        fps_basis="negative_images", n_trials=3, n_slides=12, n_steps=30,
        over_first=None if arm == "supervised" else beside(arm, "supervised", mode, truth),
        over_control=beside(arm, control, mode, truth) if control else None,
    )  # fmt: skip
    return replace(known, **changed)


def comparison(*rows, **changed):
    known = Comparison(
        paper=PAPER, rows=rows or tuple(row(arm) for arm in FROC),
        data={"name": "mine", "positive regions": "6 of 6 slides"}, made_up=False, n_seeds=1,
        confidence=0.95, bootstrap=200, created="Made today",
        command="signetflow study table1 --dataset mine", settings={"name": "table1"},
        versions={"Python": "3.11"}, left_out=(),
    )  # fmt: skip
    return replace(known, **changed)


class Reader(HTMLParser):
    """Reads the tables of a page: caption, then rows of cells."""

    def __init__(self):
        super().__init__()
        self.tables, self.text, self.inside = [], [], []

    def handle_starttag(self, tag, attributes):
        self.inside.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        self.text.append(data)
        if {"td", "th"} & set(self.inside):
            self.tables[-1][-1][-1] += f" {data.strip()}"


def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


def test_each_arm_stands_beside_the_paper_its_control_and_supervised():
    reader = read(build_study_page(comparison()))
    header, *rows = reader.tables[0]
    cells = {line[0].strip(): [" ".join(cell.split()) for cell in line] for line in rows}
    assert list(cells) == ["supervised (FT)", "supervised, longer", "self-training (ST)"]
    froc = header.index(" FROC")
    assert cells["self-training (ST)"][froc] == "0.400 0.350 to 0.450 paper 0.517"
    assert cells["supervised (FT)"][froc] == "0.200 0.150 to 0.250"
    assert cells["self-training (ST)"][-3] == "+0.200 +0.150 to +0.250"
    assert cells["self-training (ST)"][-2] == "+0.150 +0.100 to +0.200"
    assert cells["supervised, longer"][-2].strip() == DASH


def test_the_page_begins_with_what_is_shown_and_by_what():
    text = " ".join(" ".join(read(build_study_page(comparison())).text).split())
    outcome = text.split("The table")[1] if text.startswith("The table") else text
    assert "gain shown Self-training, a (hard folds)" in outcome
    assert "Of 1 comparison with a control, 1 shows a gain." in outcome


def test_without_any_control_the_page_says_that_nothing_can_be_said():
    page = build_study_page(comparison(row("supervised")))
    assert "No arm was run together with its control" in page


def test_modes_and_truths_have_a_table_each_and_what_the_paper_counts_comes_first():
    places = [("hard", "complete"), ("hard", "partial"), ("easy", "complete"), ("easy", "partial")]
    rows = [row(arm, mode, truth) for mode, truth in places for arm in FROC]
    captions = re.findall(r"<caption>(.*?)</caption>", build_study_page(comparison(*rows)))[:4]
    assert [caption.split(",")[0] for caption in captions] == [
        "Easy mode", "Hard mode", "Easy mode", "Hard mode",
    ]  # fmt: skip
    assert ["all cells" in caption for caption in captions] == [False, False, True, True]


def test_whatever_comes_from_outside_is_escaped_and_nothing_is_fetched():
    data = comparison(data={"name": "<script>alert(1)</script>"}, command="a <b>")
    page = build_study_page(data)
    assert "<script" not in page
    assert "&lt;somebody&gt;" in page
    assert not re.search(r"(src|href)=\"(?!#)", page)


def test_every_table_has_a_caption_and_every_heading_its_scope():
    page = build_study_page(comparison())
    assert page.count("<table") == page.count("<caption")
    assert re.findall(r"<th(?![^>]*scope=)[ >]", page) == []
    assert 'lang="en"' in page


def test_the_data_stand_beside_the_papers():
    [table] = [one for one in read(build_study_page(comparison())).tables if "Here" in str(one[0])]
    assert [cell.strip() for cell in table[2]] == ["positive regions", "6 of 6 slides",
                                                   "74 of 21 slides"]  # fmt: skip


def test_plain_data_hold_the_same_numbers():
    content = json.loads(json.dumps(public(comparison())))
    last = content["rows"][-1]
    assert (last["arm"], last["paper_name"], last["froc"]["value"]) == ("self", "ST", 0.4)
    assert last["published"]["froc"] == 0.517
    assert last["over_control"]["arm"] == "supervised_longer"
    assert last["over_control"]["verdict"] == "gain shown"
    assert last["over_supervised"]["froc"]["value"] == pytest.approx(0.2)
    assert content["rows"][0]["over_supervised"] is None


def said(sentences, text):
    return any(text in one for one in sentences)


@pytest.mark.parametrize("made_up", [True, False])
def test_made_up_slides_are_named_as_what_they_are(made_up):
    data = comparison(made_up=made_up)
    assert said(not_comparable(data), "These slides are made up") == made_up
    assert said(not_concluded(data), "does not show that it helps on real ones") == made_up
    assert said(not_comparable(data), "The data are not the paper's") != made_up


def test_what_is_compared_is_said_with_networks_missing_arms_and_the_papers_own_gaps():
    data = comparison(left_out=("There is no CT.",))
    assert said(not_comparable(data), "are of its own network; here the networks are a.")
    assert not_comparable(data)[-2:] == ["There is no CT.", "The paper names no validation data."]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, "One seed was run"),
        ({"rows": (row("self", n_slides=4),)}, "Only 4 test slides have annotated cells"),
        ({"rows": (row("self"), row("self", "easy"))}, "2 comparisons with a control were made"),
        ({}, "Under partial truth"),
        ({}, "Easy folds share slides"),
    ],
)
def test_what_cannot_be_concluded_is_said(changed, text):
    assert said(not_concluded(comparison(**changed)), text)


def test_what_is_no_caution_here_is_not_said():
    data = comparison(row("self", truth="complete"), n_seeds=3)
    assert not said(not_concluded(data), "One seed")
    assert not said(not_concluded(data), "partial truth")
    assert not said(not_concluded(data), "Only 12")


def test_another_basis_of_false_positives_is_said():
    data = comparison(row("self", fps_basis="complete_images"))
    assert said(not_comparable(data), "no normal regions in the test part")
    assert not said(not_comparable(comparison()), "no normal regions")
