import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.report.model import ARMS, Curve, FrocPlot, PrecisionPlot, RoundsPlot, TrainingPlot
from storage.report.plots import (
    MOST_POINTS,
    VARIABLES,
    froc_svg,
    precision_svg,
    rounds_svg,
    save_froc,
    spread,
    thinned,
    training_svg,
)


def curve(name="self"):
    return Curve(name, np.linspace(0, 40, 60), np.linspace(0.1, 0.8, 60))


def froc(*names):
    return FrocPlot("net", "complete", "negative_images", tuple(curve(name) for name in names))


def test_a_plot_takes_its_colours_from_the_page():
    svg = froc_svg(froc("self", "cooperative"), "a")
    assert "var(--blue)" in svg
    assert not any(colour in svg for colour in VARIABLES)


def test_ids_of_two_plots_differ_though_their_data_are_equal():
    ids = [set(re.findall(r'id="([^"]+)"', froc_svg(froc("self"), name))) for name in "ab"]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])


def test_every_line_carries_its_name_and_a_control_is_dashed():
    svg = froc_svg(froc("self", "self_longer"), "a")
    assert "self-training, longer" in re.sub(r"<[^>]+>", " ", svg)
    assert svg.count("stroke-dasharray") > froc_svg(froc("self"), "a").count("stroke-dasharray")


def test_a_detector_without_detections_has_a_plot_too():
    nothing = Curve("self", np.zeros(0), np.zeros(0))
    assert "0.00" in froc_svg(FrocPlot("net", "complete", "negative_images", (nothing,)), "a")


def test_training_without_validation_shows_the_loss_alone():
    loss = Curve("loss", np.arange(3.0), np.array([2.0, 1.5, 1.25]))
    alone = training_svg(TrainingPlot("supervised", "net", loss), "a")
    both = training_svg(TrainingPlot("supervised", "net", loss, curve(), 2.0), "a")
    assert "validation" not in alone
    assert "1.250" in alone
    assert "kept" in both


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_a_curve_is_saved_in_the_format_of_the_suffix(tmp_path, suffix):
    path = tmp_path / f"froc{suffix}"
    save_froc(path, [curve("detections")])
    start = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
    assert path.read_bytes().startswith(start)


@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.01, 0.2))
def test_names_are_moved_apart_and_keep_their_order(places, gap):
    moved = spread(places, gap)
    assert len(moved) == len(places)
    rising = [moved[i] for i in np.argsort(places, kind="stable")]
    assert all(b - a >= gap - 1e-9 for a, b in pairwise(rising))


def test_names_that_are_apart_stay_where_they_are():
    assert spread([0.9, 0.1, 0.5], 0.1) == pytest.approx([0.9, 0.1, 0.5])
    assert spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])


def test_names_never_sink_below_the_plot():
    assert min(spread([0.0] * 6, 0.06, lowest=0.02)) == pytest.approx(0.02)


def test_each_arm_has_a_mark_of_its_own_and_a_control_a_hollow_one():
    text = re.sub(r"<[^>]+>", " ", froc_svg(froc(*ARMS), "a"))
    marks = [line.strip()[0] for line in text.splitlines() if any(n in line for n in ARMS.values())]
    assert len(set(marks)) == len(ARMS)


def test_the_marks_of_a_control_are_hollow():
    hollow, full = "fill-opacity: 0; stroke: var(--blue)", "fill: var(--blue); stroke: var(--blue)"
    method, control = froc_svg(froc("self"), "a"), froc_svg(froc("self_longer"), "a")
    assert (hollow in method, full in method) == (False, True)
    assert (hollow in control, full in control) == (True, False)


def test_precision_is_drawn_over_recall_with_its_end_in_words():
    line = Curve("self", np.linspace(0, 0.6, 2000), np.linspace(1, 0.4, 2000))
    svg = precision_svg(PrecisionPlot("net", (line,)), "a")
    assert "self-training 0.40 at recall 0.60" in svg
    assert len(svg) < 60_000


def test_an_arm_that_found_nothing_says_so():
    nothing = Curve("self", np.zeros(0), np.zeros(0))
    assert "(found nothing)" in precision_svg(PrecisionPlot("net", (nothing,)), "a")


def test_a_line_keeps_its_ends_and_no_more_points_than_can_be_seen():
    x = np.arange(10_000.0)
    short, same = thinned(x, x)
    assert len(short) == MOST_POINTS
    assert (short[0], short[-1]) == (0, 9999)
    assert np.array_equal(short, same)
    assert [len(one) for one in thinned(x[:7], x[:7])] == [7, 7]
    assert [len(one) for one in thinned(x[:0], x[:0])] == [0, 0]


def test_rounds_are_whole_numbers_even_when_there_is_one():
    one = Curve("self", np.array([1.0]), np.array([0.25]))
    svg = rounds_svg(RoundsPlot("net", "area per cell", (one,), (0.7, 1.2)), "a")
    texts = re.findall(r">\s*([\d.]+)\s*</text>", svg)
    assert "1" in texts
    assert not [text for text in texts if text.startswith("0.9")]
    assert "self-training 0.25" in svg
