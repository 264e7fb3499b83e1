import numpy as np
import pytest

from models.annotations import Polygons
from storage.report.model import (
    ArmRow,
    Breakdown,
    Command,
    CropPanel,
    CropStory,
    Curve,
    Example,
    FoundPanel,
    FrocPlot,
    Gain,
    GroupRow,
    PrecisionPlot,
    Refusal,
    Refused,
    ReportData,
    RoundCard,
    RoundsPlot,
    Share,
    TrainingPlot,
)

ARMS = {"supervised": 0.212, "supervised_longer": 0.188, "self": 0.335, "self_longer": 0.351,
        "self_extra": 0.322, "cooperative": 0.347}  # fmt: skip


def arm_row(arm, model, froc, **changed):
    known = {
        "mode": "hard", "fold": 0, "seed": 0, "arm": arm, "model": model, "truth": "complete",
        "instance_recall": froc + 0.1, "collective_recall": froc + 0.2, "fps": 7.25,
        "fps_basis": "negative_images", "froc": froc, "froc_low": froc - 0.06,
        "froc_high": froc + 0.07, "candidate_floor": 0.15, "n_steps": 1240,
        "label_version": "3f9ac2d1" + "0" * 24, "checkpoint": "a" * 32,
    }  # fmt: skip
    return ArmRow(**(known | changed))


def rings(rng, n, size=192):
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    shape = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    made = [rng.uniform(8, size - 8, 2) + shape * rng.uniform(6, 10, 2) for _ in range(n)]
    return Polygons.of_rings(made)


def tissue(rng, size=192):
    low = rng.normal(0, 1, (24, 24, 1))
    smooth = np.kron(low[:, :, 0], np.ones((8, 8)))[:, :, None]
    return np.clip([220, 170, 205] + smooth * [12, 25, 14], 0, 255).astype(np.uint8)


def froc_plot(model, rng):
    curves = []
    for arm, height in ARMS.items():
        fps = np.sort(rng.gamma(1.2, 12, 900))
        recall = np.sort(np.clip(height * 2 * (1 - np.exp(-fps / 9)), 0, 1))
        curves.append(Curve(arm, fps, recall))
    return FrocPlot(model, "complete", "negative_images", tuple(curves))


def precision_plot(model):
    recall = np.linspace(0.01, 0.8, 500)
    curves = (Curve(arm, recall * height, 1 - recall / 3) for arm, height in ARMS.items())
    return PrecisionPlot(model, tuple(curves))


def gain(arm="self", model="tiny-resnet", interval=(0.02, 0.25), **changed):
    known = {
        "mode": "hard", "model": model, "truth": "complete", "arm": arm,
        "control": "supervised_longer", "n_trials": 1, "n_slides": 8, "froc": 0.335,
        "control_froc": 0.188,
        "interval": interval, "n_steps": 1240, "control_steps": 1240,
    }  # fmt: skip
    return Gain(**(known | changed))


def group_row(name, recall=0.5, n_truth=40, fps=2.0):
    share = Share(recall if n_truth else None, fps)
    return GroupRow(name, 3, n_truth, (share, Share(0.9, None)))


def story(rng, index):
    annotated, hidden, first, second = rings(rng, 5), rings(rng, 9), rings(rng, 4), rings(rng, 3)
    none = Polygons.none(0)
    panels = (
        CropPanel("annotations", annotated, none, none, hidden),
        CropPanel("round 1", annotated, none, first, hidden),
        CropPanel("round 2", annotated, first, second, hidden),
    )
    return CropStory(f"slide-{index}@1024,2048, tiny-resnet", tissue(rng), panels)


def example(rng, index, n=6):
    none = Polygons.none(0)
    panels = (
        FoundPanel("supervised, tiny-resnet", rings(rng, 2), rings(rng, n), rings(rng, n), none),
        FoundPanel("cooperative, tiny-resnet", rings(rng, n), rings(rng, 2), rings(rng, 1), none),
    )
    return Example(f"Worst of 9 annotated regions: slide-{index}@0,0", tissue(rng), panels)


def card(arm, n, **changed):
    known = {
        "arm": arm, "model": "tiny-resnet", "round": n, "n_cells": 812 + 140 * n,
        "growth": 0.21 / n, "churn": 0.11 / n, "area_per_instance": 0.98 + 0.05 * n,
        "validation": 0.3 + 0.01 * n, "decision": "Labels still change. Training goes on.",
        "kept": n == 2, "label_version": f"{n}b1f" + "0" * 28,
    }  # fmt: skip
    return RoundCard(**(known | changed))


@pytest.fixture(scope="session")
def report():
    rng = np.random.default_rng(0)
    models = ("tiny-resnet", "tiny-dla")
    epochs = np.arange(1.0, 31)
    last = "Labels grew by 0.3% only, limit 1%. The rounds stop: nothing was trained on them."
    cards = (
        card("self", 1), card("self", 2),
        card(
            "self", 3, decision=last, validation=0.31, validation_low=0.22, validation_high=0.4,
            fps=4.25, disagreement=0.375, alarms=("Look at organ 7.",),
        ),
        card("cooperative", 1, kept=True),
    )  # fmt: skip
    return ReportData(
        title="Retraining on organs <synthetic>",
        created="Made on 2025-01-31 at 12:00 UTC",
        rows=tuple(
            arm_row(
                arm, model, froc, gain_interval=(0.02, 0.25) if arm == "self" else None, n_slides=4
            )
            for model in models
            for arm, froc in ARMS.items()
        ),
        gains=(
            gain(),
            gain("cooperative", interval=(-0.11, 0.14), control="self_longer"),
            gain("self", "tiny-dla", (-0.2, -0.1), froc=0.1),
            gain("self_extra", "tiny-dla", None, control="self_longer"),
            gain(truth="partial", froc=0.777),
        ),
        commands=(
            Command("signetflow run config.json", "On the same dataset."),
            Command("signetflow run demo --set 'seeds=[1]'", "The same, from a preset:"),
        ),
        froc=tuple(froc_plot(model, rng) for model in models),
        precision=tuple(precision_plot(model) for model in models),
        breakdowns=(
            Breakdown("tiny-resnet", "hard", "complete", "organ", ("supervised", "self"),
                      (group_row("colon"), group_row("skin & <hair>", 0.25))),
        ),
        examples=tuple(example(rng, index) for index in range(2)),
        rounds=cards,
        curves=tuple(
            RoundsPlot(model, quantity, (
                Curve("self", np.arange(4.0), np.array([812.0, 952, 1092, 1232])),
                Curve("cooperative", np.arange(3.0), np.array([812.0, 1000, 1180]))), band)
            for model in models
            for quantity, band in (("cells that nobody drew", None), ("area per cell", (0.7, 1.2)))
        ),
        training=tuple(
            TrainingPlot(
                stage, "tiny-resnet", Curve("loss", epochs, 1.4 * np.exp(-epochs / 9) + 0.4),
                Curve("validation", epochs[4::5], 0.3 - np.exp(-epochs[4::5] / 8) / 4), 25,
                (10, 20),
            )
            for stage in ("supervised", "self")
        ),
        crops=tuple(story(rng, index) for index in range(2)),
        dataset={"name": "organs", "version": "d" * 32},
        refused=(
            Refused("at ingest", 2, (
                Refusal("bad/<b>truncated</b>.png", "the image ends after 1,024 bytes"),
                Refusal("other.png", "no such class"),
            )),
            Refused("when regions were cut", 0),
        ),
        settings={"training.crop_px": "128", "rounds.threshold": "0.7"},
        versions={"torch": "2.14.1", "signetflow": "0.1.0"},
    )  # fmt: skip
