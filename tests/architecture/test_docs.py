"""What the documents point to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
NAMED = re.compile(r"`((?:flows|tasks|storage|models|tests|docs|deployments|\.ci)/[\w./-]*[\w/])`")
LONGEST_DECISION = 40


def missing(text, folder):
    linked = {name for name in LINK.findall(text) if not (folder / name).exists()}
    named = {name for name in NAMED.findall(text) if not (ROOT / name).exists()}
    return linked | named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_points_to_what_is_there(page):
    assert missing(page.read_text(), page.parent) == set()


def test_a_broken_link_and_a_gone_file_are_found():
    text = "[a](docs/nothing.md) [b](README.md) `models/gone.py` `models/errors.py`"
    assert missing(text, ROOT) == {"docs/nothing.md", "models/gone.py"}


def test_decisions_are_numbered_in_a_row_and_short():
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(path.name[:4]) for path in decisions]
    assert numbers == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = path.read_text()
        assert len(text.splitlines()) <= LONGEST_DECISION, path.name
        assert all(f"**{part}.**" in text for part in ("Context", "Choice", "Consequences"))


def test_every_shipped_preset_is_a_configuration():
    from flows.config import PRESETS, load_config

    names = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    assert {"demo", "paper", "tiny"} <= set(names)
    for name in names:
        assert load_config(name).name == name


def test_the_paper_preset_has_the_numbers_of_the_paper():
    # Li et al. 2019, sec. 3.2.
    from flows.config import load_config

    paper = load_config("paper")
    training, own, shared = paper.training, paper.self_training, paper.cooperative
    assert (training.crop_px, training.batch, training.learning_rate) == (512, 16, 0.001)
    assert (training.epochs, training.schedule, paper.windows.window_px) == (50, "constant", 1024)
    assert (own.rounds, own.threshold, own.epochs) == (5, 0.7, 10)
    assert (shared.rounds, shared.threshold) == (2, 0.33)
    assert (shared.first_epochs, shared.epochs) == (50, 10)
    assert [network.encoder for network in paper.networks.values()] == ["resnet34", "tu-dla34"]
    assert (paper.splits, paper.folds, paper.evaluation.iou) == (("easy", "hard"), (0, 1, 2), 0.3)
