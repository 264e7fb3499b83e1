"""However large the run, the page stays small enough to send by mail."""

from dataclasses import replace

import numpy as np
import pytest

from models.annotations import Polygons
from storage.report.model import (
    Breakdown,
    CropPanel,
    CropStory,
    Curve,
    Example,
    FoundPanel,
    GroupRow,
    Refusal,
    Refused,
    RoundsPlot,
    Share,
    TrainingPlot,
)
from storage.report.page import build_page
from storage.report.plots import froc_svg

MOST_BYTES = 10_000_000
LONG = "a name as long as hostile files have it " * 40


def crowd(rng, n=2000, size=384):
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Polygons.of_rings([rng.uniform(0, size, 2) + circle * 9 for _ in range(n)])


def noise(rng, size=384):
    """Return what JPEG is worst at."""
    return rng.integers(0, 255, (size, size, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def enormous(report):
    """Return a run of 216 arms, 1,000 rounds, 500 slides and 100,000 refused files."""
    rng = np.random.default_rng(0)
    line = Curve("self", np.arange(1.0, 20_001), rng.random(20_000))
    crop = CropPanel(LONG, *(crowd(rng) for _ in range(4)))
    found = FoundPanel(LONG, *(crowd(rng) for _ in range(4)))
    trials = [(mode, fold, seed) for mode in ("hard", "easy") for fold in range(3)
              for seed in range(3)]  # fmt: skip
    slides = [
        GroupRow(f"{n} {LONG}", 9, n % 7, (Share(rng.random(), 2.0),) * 6) for n in range(500)
    ]
    arms = ("supervised", "supervised_longer", "self", "self_longer", "self_extra", "cooperative")
    return replace(
        report,
        rows=tuple(
            replace(row, mode=mode, fold=fold, seed=seed, truth=truth)
            for row in report.rows
            for mode, fold, seed in trials
            for truth in ("complete", "partial")
        ),
        gains=report.gains * 8,
        froc=tuple(replace(report.froc[0], curves=(line,) * 6) for _ in range(72)),
        precision=report.precision * 36,
        breakdowns=tuple(
            Breakdown(f"net {n}", "hard", "complete", "slide", arms, tuple(slides))
            for n in range(30)
        ),
        examples=(Example(LONG, noise(rng), (found, found)),) * 40,
        rounds=tuple(replace(report.rounds[0], round=n, trial=f"trial {n % 50}", decision=LONG)
                     for n in range(1000)),
        curves=tuple(RoundsPlot(LONG, "cells", (line,) * 3) for _ in range(144)),
        training=tuple(TrainingPlot(LONG, LONG, line, line, 7, (3.0,) * 500) for _ in range(216)),
        crops=(CropStory(LONG, noise(rng, 192), (crop,) * 21),) * 20,
        refused=(
            Refused("at ingest", 100_000, tuple(Refusal(LONG, LONG) for _ in range(1000))),
        ),
        settings={f"{LONG} {n}": LONG for n in range(200)},
    )  # fmt: skip


@pytest.mark.slow
def test_a_page_of_an_enormous_run_can_still_be_sent_by_mail(enormous):
    page = build_page(enormous)
    assert len(page.encode()) < MOST_BYTES
    for told in (
        "32 of the tables",
        "60 of the plots",
        "800 of the rounds",
        "99,950 of the refused",
    ):
        assert told in page


def test_a_curve_of_a_million_points_is_drawn_by_those_that_can_be_seen(report):
    x = np.linspace(0, 40, 1_000_000)
    line = Curve("self", x, np.sort(np.random.default_rng(0).random(len(x))))
    assert len(froc_svg(replace(report.froc[0], curves=(line,) * 6), "a")) < 150_000
