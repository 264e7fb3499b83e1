"""What can be known of the page's accessibility without a browser: WCAG 2.2, level AA."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import storage.report.page
from storage.report.overlays import KINDS, OUTCOMES
from storage.report.page import build_page
from storage.report.plots import VARIABLES

STYLE = (Path(storage.report.page.__file__).parent / "style.css").read_text()
TEXT = 4.5
"""Contrast of text (success criterion 1.4.3)."""
GRAPHIC = 3.0
"""Contrast of lines and marks that carry meaning (1.4.11)."""


def themes():
    """Return the style sheet's colours for light, dark and print."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    return {
        name: dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for name, block in zip(("light", "dark", "print"), blocks, strict=True)
    }


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_definition():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
@pytest.mark.parametrize("ground", ["paper", "card", "soft"])
def test_text_stands_out_from_what_it_lies_on(theme, ground):
    colours = themes()[theme]
    for text in ("ink", "muted", "blue", "red"):
        assert contrast(colours[text], colours[ground]) >= TEXT, text


@pytest.mark.parametrize("theme", ["light", "dark", "print"])
def test_names_and_lines_of_plots_stand_out_from_their_card(theme):
    # The name beside a line has its colour, and is text.
    colours = themes()[theme]
    for line in ("grey", "blue", "green", "red"):
        assert contrast(colours[line], colours["card"]) >= TEXT, line


def test_every_colour_of_a_plot_is_one_of_the_page():
    light = themes()["light"]
    assert {variable.removeprefix("--") for variable in VARIABLES.values()} <= set(light)
    assert set(themes()["dark"]) == set(themes()["print"]) == set(light)


@pytest.mark.parametrize("kind", [*KINDS, *OUTCOMES], ids=lambda kind: kind.name)
def test_an_outline_stands_out_from_the_pale_line_beneath_it(kind):
    minimum = GRAPHIC if not kind.fill_opacity else 2.5  # filled cells are seen by their area, too
    assert contrast(kind.colour, "#ffffff") >= minimum


def test_rules_that_move_anything_ask_for_leave_first():
    outside = re.sub(r"@media \(prefers-reduced-motion[^{]*\{ .*? \} \}", "", STYLE)
    assert "prefers-reduced-motion: reduce" in STYLE
    assert not re.search(r"scroll-behavior|transition|animation|@keyframes", outside)


def test_nothing_hides_where_the_focus_is():
    assert "outline: none" not in STYLE
    assert "outline: 0" not in STYLE
    assert re.search(r"a:focus-visible.*outline: 3px", STYLE)


class Outline(HTMLParser):
    """Notes headings, landmarks, and what the cells of tables refer to."""

    def __init__(self):
        super().__init__()
        self.headings, self.tags, self.elements, self.tables = [], [], [], []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.tags.append(tag)
        self.elements.append((tag, known))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "table":
            self.tables.append({"caption": False, "head": False})
        if tag == "caption":
            self.tables[-1]["caption"] = True
        if tag == "thead":
            self.tables[-1]["head"] = True


@pytest.fixture(scope="module")
def outline(report):
    reader = Outline()
    reader.feed(build_page(report))
    return reader


def test_headings_begin_with_one_and_leave_out_no_level(outline):
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    for before, after in zip(outline.headings, outline.headings[1:], strict=False):
        assert after <= before + 1


def test_the_page_has_a_language_a_title_and_landmarks(outline):
    assert ("html", {"lang": "en"}) in outline.elements
    for landmark in ("title", "header", "nav", "main", "footer"):
        assert outline.tags.count(landmark) == 1


def test_every_table_has_a_caption_and_a_head(outline):
    assert len(outline.tables) >= 6
    assert all(table["caption"] and table["head"] for table in outline.tables)


def test_what_scrolls_can_be_reached_by_keyboard_and_has_a_name(outline):
    scrolling = [known for tag, known in outline.elements if known.get("class") == "scroll"]
    assert len(scrolling) == len(outline.tables)
    for known in scrolling:
        assert (known["tabindex"], known["role"]) == ("0", "region")
        assert known["aria-label"].strip()


def test_every_section_is_in_the_navigation(outline):
    sections = [known["id"] for tag, known in outline.elements if tag == "section"]
    links = [known["href"] for tag, known in outline.elements if tag == "a"]
    assert links == ["#outcome", *(f"#{name}" for name in sections)]  # the first skips to it


def test_a_policy_forbids_whatever_is_not_in_the_page(outline):
    policies = [k["content"] for tag, k in outline.elements if "http-equiv" in k]
    assert policies == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
        "form-action 'none'"
    ]
