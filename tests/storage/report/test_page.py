import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from typing import Any

import pytest

from storage.report.model import FrocPlot, Refusal, Refused, ReportData
from storage.report.page import build_page

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
    assert all(target.startswith(("#", "data:image/jpeg;base64,")) for target in targets)


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
    assert all(known.get("scope") in {"col", "row", "rowgroup"} for known in headers)


def text_of(page):
    return " ".join(" ".join(read(page).text).split())


def test_the_numbers_of_the_run_are_there(page, report):
    text = text_of(page)
    for row in report.rows:
        assert f"{row.froc:.3f}" in text
    for expected in ("0.275 to 0.405", "+0.147", "7.25", "1,240", "21.0 %", "3f9ac2d1"):
        assert expected in text
    assert "Labels grew by 0.3% only" in text
    assert "2.14.1" in text
    assert "training.crop_px" in text


def test_a_gain_that_is_not_shown_is_told_like_one_that_is(page):
    text = text_of(page)
    assert (
        "Of 4 comparisons with a control, 1 shows a gain, 1 shows no gain, 1 is worse and 1" in text
    )
    assert "no gain shown Cooperative, tiny-resnet" in text
    assert "\N{MINUS SIGN}0.110 to +0.140. The interval holds zero" in text
    assert "gain shown Self-training, tiny-resnet" in text
    assert "worse than its control Self-training, tiny-dla" in text
    assert "0.777" not in text  # partial truth has no word where complete truth is known


def test_tables_against_partial_truth_are_folded_where_complete_truth_is_known(report):
    partial = tuple(replace(row, truth="partial") for row in report.rows)
    both = build_page(replace(report, rows=(*report.rows, *partial)))
    assert both.count("<summary>Against partial truth</summary>") == 1
    folded = both.split("<summary>Against partial truth</summary>")[1].split("</details>")[0]
    assert folded.count('<table class="results">') == 2
    assert both.count('<table class="results">') == 4
    assert "<summary>Against" not in build_page(replace(report, rows=partial))


def test_what_to_mind_stands_beside_what_came_out(page):
    text = text_of(page)
    assert "Few test slides have annotated cells (hard fold 0: 4)" in text
    assert "One seed was run." in text
    assert "docs/reading-the-table.md" in text


def test_every_command_to_repeat_the_run_is_there(page, report):
    text = text_of(page)
    for command in report.commands:
        assert command.text in text


def test_what_each_step_refused_is_counted_with_its_reasons(page, report):
    text = text_of(page)
    assert "At ingest: 2 files or records were not used" in text
    assert "the image ends after 1,024 bytes" in text
    assert "When regions were cut: nothing." in text
    unknown = replace(report, refused=(Refused("at ingest", None),))
    assert "At ingest: not written down for this dataset." in text_of(build_page(unknown))


def test_a_round_shows_its_alarms_and_why_the_rounds_ended(page):
    text = text_of(page)
    assert "The rounds stop: nothing was trained on them. Alarm: Look at organ 7." in text
    assert "0.310 0.220 to 0.400 4.25 38 %" in text


def test_a_group_shows_recall_and_false_positives_of_each_arm(page):
    text = text_of(page)
    assert "By organ: tiny-resnet, complete truth, hard folds" in text
    assert "skin & <hair> 3 40 0.25 2.00 false 0.90" in text
    assert "self-training ↑" in text


def test_hits_misses_and_false_cells_are_counted_in_words(page):
    assert "2 found, 6 missed, 6 false" in text_of(page)


def test_names_from_outside_are_text_and_never_markup(page, report):
    assert "<b>truncated" not in page
    assert "&lt;b&gt;truncated" in page
    hostile = '"><script>alert(1)</script>'
    crops = tuple(replace(crop, caption=hostile) for crop in report.crops)
    plots = (FrocPlot(hostile, hostile, "negative_images", report.froc[0].curves),)
    other = build_page(
        replace(
            report, title=hostile, crops=crops, froc=plots,
            refused=(Refused(hostile, 1, (Refusal(hostile, hostile),)),),
        )
    )  # fmt: skip
    assert "<script" not in other
    assert read(other).open == []


HOSTILE = "a\x00b\x1b[31m\u202egnp.exe\udcff\u2028<script>alert(1)</script>\"' onload=x"


def everywhere(value: Any, name: str) -> Any:
    """Return plain data in which every text is a hostile name."""
    if isinstance(value, str):
        return name
    if isinstance(value, tuple):
        return tuple(everywhere(one, name) for one in value)
    if isinstance(value, dict):
        return {f"{name} {key}": name for key in value}
    if is_dataclass(value) and type(value).__module__ == "storage.report.model":
        known = {one.name: getattr(value, one.name) for one in fields(value)}
        return replace(value, **{key: everywhere(one, name) for key, one in known.items()})  # type: ignore[type-var]  # an instance, as is asked above
    return value


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")
def test_a_page_of_nothing_but_hostile_names_is_a_page(report):
    page = build_page(everywhere(report, HOSTILE))
    page.encode("utf-8")  # half a character would not do
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028]", page)
    assert "<script" not in page
    reader = read(page)
    assert reader.open == []
    assert not [tag for tag, known in reader.elements if any(key.startswith("on") for key in known)]
    assert "\N{SYMBOL FOR NULL}" in page
    assert "&lt;U+202E&gt;" in page


def test_a_name_without_end_is_cut(report):
    page = build_page(replace(report, title="x" * 5_000_000))
    assert len(page) < 2_000_000
    assert "4,999,000 more characters" in page


def test_a_run_without_results_still_makes_a_page():
    page = build_page(ReportData("Empty", "today", ()))
    assert "no finished evaluation" in page
    assert read(page).open == []


def test_a_run_without_controls_claims_no_gain_and_denies_none(report):
    page = build_page(replace(report, gains=()))
    assert "No arm was run beside its control" in page


def test_equal_data_makes_an_equal_page(report):
    assert build_page(report) == build_page(report)


def test_of_many_rounds_the_first_and_the_last_are_drawn(report):
    panels = tuple(replace(report.crops[0].panels[1], title=f"round {n}") for n in range(20))
    page = build_page(replace(report, crops=(replace(report.crops[0], panels=panels),)))
    shown = [f"<b>round {n}</b>" in page for n in range(20)]
    assert shown == [n == 0 or n > 12 for n in range(20)]
    assert read(page).open == []
    used = set(re.findall(r'href="#([^"]+)"', page))
    assert used <= set(read(page).ids)


def test_the_page_stays_small(page):
    assert len(page) < 2_000_000
