import numpy as np
import pytest

from models.annotations import Polygons
from storage.report.model import (
    ArmRow,
    CropPanel,
    CropStory,
    Curve,
    FrocPlot,
    GrowthPlot,
    Refusal,
    ReportData,
    RoundCard,
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


def story(rng, index):
    annotated, hidden, first, second = rings(rng, 5), rings(rng, 9), rings(rng, 4), rings(rng, 3)
    none = Polygons.none(0)
    panels = (
        CropPanel("annotations", annotated, none, none, hidden),
        CropPanel("round 1", annotated, none, first, hidden),
        CropPanel("round 2", annotated, first, second, hidden),
    )
    return CropStory(f"slide-{index}@1024,2048, tiny-resnet", tissue(rng), panels)


@pytest.fixture(scope="session")
def report():
    rng = np.random.default_rng(0)
    models = ("tiny-resnet", "tiny-dla")
    epochs = np.arange(1.0, 31)
    cards = tuple(
        RoundCard("self", "tiny-resnet", n, 812 + 140 * n, 0.21 / n, 0.11 / n, 0.98 + 0.05 * n,
                  0.3 + 0.01 * n, "Goes on: the labels still grow." if n < 3 else
                  "Stops: growth fell under 1 %.", n == 2, f"{n}b1f" + "0" * 28)
        for n in (1, 2, 3)
    )  # fmt: skip
    return ReportData(
        title="Retraining on organs <synthetic>",
        command="signetflow run deployments/presets/demo.yaml --set seed=0",
        created="2025-01-31 12:00 UTC",
        summary=("Self-training finds 0.335 of the cells, its control 0.188.",),
        rows=tuple(
            arm_row(arm, model, froc, gain_interval=(0.02, 0.25) if arm == "self" else None)
            for model in models
            for arm, froc in ARMS.items()
        ),
        froc=tuple(froc_plot(model, rng) for model in models),
        training=tuple(
            TrainingPlot(
                stage, "tiny-resnet", Curve("loss", epochs, 1.4 * np.exp(-epochs / 9) + 0.4),
                Curve("validation", epochs[4::5], 0.3 - np.exp(-epochs[4::5] / 8) / 4), 25,
            )
            for stage in ("supervised", "self-training, round 1", "self-training, round 2")
        ),
        growth=tuple(
            GrowthPlot(model, "cells", (
                Curve("self", np.arange(4.0), np.array([812.0, 952, 1092, 1232])),
                Curve("cooperative", np.arange(3.0), np.array([812.0, 1000, 1180]))))
            for model in models
        ),
        rounds=cards,
        crops=tuple(story(rng, index) for index in range(2)),
        refused=(Refusal("bad/<b>truncated</b>.png", "the image ends after 1,024 bytes"),),
        settings={"training.crop_px": "128", "rounds.threshold": "0.7"},
        versions={"torch": "2.14.1", "signetflow": "0.1.0"},
    )  # fmt: skip
