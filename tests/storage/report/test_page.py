import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from storage.report.model import FrocPlot, Refusal, ReportData
from storage.report.page import build_page, figure, percent, signed, table_groups

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Notes what a page holds and whether each element is closed by its own end."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.elements, self.text = [], [], [], []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.elements.append((tag, known))
        if "id" in known:
            self.ids.append(known["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if "id" in dict(attributes):
            self.ids.append(dict(attributes)["id"])

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.text.append(text)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(build_page(report), encoding="utf-8")
    return path.read_text(encoding="utf-8")


def test_every_element_is_closed_in_turn_and_ids_are_unique(page):
    reader = read(page)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))


def test_every_reference_inside_the_page_has_its_target(page):
    reader = read(page)
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page))
    assert {one or other for one, other in used} <= set(reader.ids)
    assert used


def test_nothing_is_loaded_from_outside(page):
    assert "http://" not in page
    assert "https://" not in page
    assert not re.search(r"@import|<script|<link|src=|srcset=", page)
    targets = [known["href"] for _, known in read(page).elements if "href" in known]
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)


def test_every_picture_has_a_text_alternative_or_is_marked_as_decoration(page):
    pictures = [known for tag, known in read(page).elements if tag == "svg"]
    assert len(pictures) > 20
    for known in pictures:
        described = known.get("role") == "img" and len(known.get("aria-label", "")) > 10
        assert described or known.get("aria-hidden") == "true"
    labels = [known["aria-label"] for known in pictures if "aria-label" in known]
    assert any("self-training" in label and "tiny-dla" in label for label in labels)


def test_table_headers_say_what_they_head(page):
    headers = [known for tag, known in read(page).elements if tag == "th"]
    assert headers
    assert all(known.get("scope") in {"col", "row"} for known in headers)


def test_the_numbers_of_the_run_are_there(page, report):
    text = " ".join("".join(read(page).text).split())
    for row in report.rows:
        assert f"{row.froc:.3f}" in text
    for expected in ("0.275 to 0.405", "+0.147", "7.25", "1,240", "21.0 %", "1,092", "3f9ac2d1"):
        assert expected in text
    assert report.command in text
    assert "Stops: growth fell under 1 %." in text
    assert "2.14.1" in text
    assert "training.crop_px" in text


def test_each_gain_stands_beside_its_control(report):
    groups = table_groups(report.rows)
    assert [group.title[:11] for group in groups] == ["tiny-resnet", "tiny-dla, c"]
    by_arm = {line.row.arm: line for line in groups[0].rows}
    assert by_arm["self"].control_name == "supervised, longer"
    assert by_arm["self"].gain == pytest.approx(0.335 - 0.188)
    assert by_arm["cooperative"].control_name == "self-training, longer"
    assert by_arm["supervised"].control is None
    assert by_arm["self_longer"].is_control


def test_arms_are_compared_within_one_fold_seed_and_truth_only(report):
    elsewhere = [replace(row, truth="partial") for row in report.rows if row.arm == "self"]
    groups = table_groups([*report.rows, *elsewhere])
    assert len(groups) == 4
    assert next(g for g in groups if "partial" in g.title).rows[0].control is None


def test_names_from_outside_are_text_and_never_markup(page, report):
    assert "<b>truncated" not in page
    assert "&lt;b&gt;truncated" in page
    hostile = '"><script>alert(1)</script>'
    crops = tuple(replace(crop, caption=hostile) for crop in report.crops)
    plots = (FrocPlot(hostile, hostile, "negative_images", report.froc[0].curves),)
    other = build_page(
        replace(
            report, title=hostile, crops=crops, froc=plots, refused=(Refusal(hostile, hostile),)
        )
    )
    assert "<script" not in other
    assert read(other).open == []


def test_a_run_without_results_still_makes_a_page():
    empty = ReportData("Empty", "signetflow run x.yaml", "today", (), ())
    page = build_page(empty)
    assert "no finished evaluation" in page
    assert "Nothing: every file" in page
    assert read(page).open == []


def test_equal_data_makes_an_equal_page(report):
    assert build_page(report) == build_page(report)


def test_the_page_stays_small(page):
    assert len(page) < 2_000_000


def test_numbers_that_are_not_known_are_a_dash():
    assert figure(None) == figure(float("nan")) == signed(None) == percent(None) == "\N{EN DASH}"
    assert signed(-0.0291) == "\N{MINUS SIGN}0.029"
    assert figure(12345.6, 0) == "12,346"
