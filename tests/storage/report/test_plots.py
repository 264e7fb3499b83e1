import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.report.model import Curve, FrocPlot, TrainingPlot
from storage.report.plots import VARIABLES, froc_svg, save_froc, spread, training_svg


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
