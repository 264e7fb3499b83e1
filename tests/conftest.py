"""A small registered dataset with regions and label version 0, for tests of tasks and flows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.nodeid import NodeId

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config import RetrainConfig
    from storage.layout import Ref, Workspace
    from tasks.evidence import ArmEvidence
    from tasks.report import ReportInputs
    from tasks.stage import Run

ORGANS = range(6)
SIDE_PX = 96
CELLS = ((8, 10, 32, 34), (50, 12, 78, 36), (20, 56, 46, 84))
MARKED = 2
"""Of the three cells of a positive image, a person marked two."""


SHARED = ("conducted", "demo", "drill_ground")
"""Fixtures that take long to make: all tests that use one run in one process."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of each shared fixture together."""
    for item in items:
        for name in SHARED:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(name))
        groups = {str(mark.args[0]) for mark in item.iter_markers("xdist_group")}
        if groups and hasattr(config, "workerinput"):
            # pytest-xdist 3.8.0 writes the group to a field that pytest 9.2 does not read, so that
            # groups are lost in silence; delete this with the release of xdist after 3.8.0.
            item._id = NodeId.parse(f"{item.nodeid}@{'_'.join(sorted(groups))}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what drills have counted, wherever they ran."""
    for report in (one for some in terminalreporter.stats.values() for one in some):
        for name, text in getattr(report, "user_properties", ()):
            if name == "drill" and getattr(report, "when", "") == "call":
                terminalreporter.write_line(text)


@dataclass(frozen=True)
class Ground:
    """A workspace in which slides are cut and label version 0 is drawn."""

    at: Workspace
    run: Run
    config: RetrainConfig
    dataset: Ref
    regions: Ref
    annotated: Ref
    untouched: Path
    """A copy of the workspace as it was before any test."""

    def copied(self, folder: Path, source: Path | None = None) -> Ground:
        """Return the same, with all that tests have added, in a workspace of its own."""
        from storage.layout import Workspace
        from tasks.stage import Run

        at = Workspace(folder / "workspace")
        shutil.copytree(source or self.at.root, at.root)
        return replace(self, at=at, run=Run(at, self.run.run_id))


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Return a ground that tests may add to, but not change."""
    from flows.stages import open_run
    from storage.datasets.catalogue import register
    from storage.layout import Workspace
    from tasks.ingest import annotate, extract

    folder = tmp_path_factory.mktemp("ground")
    at = Workspace(folder / "workspace")
    how: Any = {"group_by": ("organ",), "allow_alike": ("all",)}  # all show the same cells
    dataset = register(at, _items(folder), name="ground", **how).ref
    assert dataset is not None
    config = small_config()
    run = open_run(config, at)
    regions = extract(run, "cut regions", dataset=dataset, tiles=config.tiles)
    annotated = annotate(run, "draw label version 0", regions=regions, ellipses=config.ellipses)
    untouched = folder / "untouched"
    shutil.copytree(at.root, untouched)
    return Ground(at, run, config, dataset, regions, annotated, untouched)


@pytest.fixture
def own_ground(ground: Ground, tmp_path: Path) -> Ground:
    """Return a ground that the test may harm, as it was before any test."""
    return ground.copied(tmp_path, ground.untouched)


@dataclass(frozen=True)
class Conducted:
    """A run of all arms over a ground, stage by stage, without Prefect."""

    ground: Ground
    report: Ref
    heard: tuple[ArmEvidence, ...]
    """What was told while it ran, arm by arm."""
    inputs: ReportInputs
    """What the report was made of."""


@pytest.fixture(scope="session")
def conducted(ground: Ground) -> Conducted:
    """Return a finished run of every arm; its networks have hardly learnt anything."""
    from flows import stages

    heard: list[ArmEvidence] = []
    given: list[ReportInputs] = []

    def watched(run: Run, label: str, *, inputs: ReportInputs, **words: Any) -> Ref:
        given.append(inputs)
        return make(run, label, inputs=inputs, **words)

    make = stages.report  # type: ignore[attr-defined]  # imported there
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "report", watched)
        report = stages.Conductor(ground.run, ground.config, heard.append).report()
    return Conducted(ground, report, tuple(heard), given[0])


def small_config(**changes: object) -> RetrainConfig:
    """Return a configuration in which an epoch takes a few steps."""
    from flows.config import parse_config

    content: dict[str, object] = {
        "name": "ground",
        "dataset": "ground",
        "folds": [0],
        "networks": {"a": {"family": "tiny_resnet"}, "b": {"family": "tiny_dla"}},
        "training": {
            "crop_px": 64, "batch": 2, "epochs": 2, "crops_per_region": 1, "validate_every": 1,
        },
        "self_training": {"rounds": 2, "epochs": 1, "threshold": 0.5},
        "cooperative": {"rounds": 1, "first_epochs": 0, "epochs": 1, "threshold": 0.5},
        "windows": {"window_px": 96, "overlap_px": 32},
        "evaluation": {"bootstrap": 50},
        "runtime": {"device": "cpu", "precision": "fp32", "threads": 1},
    }  # fmt: skip
    return parse_config(content | changes, "test")


def _items(folder: Path):
    """Yield an annotated, a normal and an unknown image of each organ."""
    import numpy as np

    from models.annotations import Annotations, Polygons, Role
    from models.geometry.tiles import Window
    from storage.datasets.protocol import KnownWindow, SourceItem

    for organ in ORGANS:
        for role in Role:
            shown = [] if role is Role.NEGATIVE else CELLS
            path = _painted(folder / f"organ{organ}-{role}.png", shown, organ)
            truth = Annotations(
                np.array([f"{path.stem}#{n}" for n in range(len(shown))], np.str_),
                np.array(shown, float).reshape(-1, 4) + 0.5 * organ,
                Polygons.none(len(shown)),
            )
            marked = truth.take(np.arange(MARKED if role is Role.POSITIVE else 0))
            window = KnownWindow(Window(0, 0, SIDE_PX, SIDE_PX), role)
            known = None if role is Role.UNLABELLED else truth
            yield SourceItem(
                path.stem, path, SIDE_PX, SIDE_PX, None, (window,), None, marked, known,
                {"organ": f"organ{organ}", "slide": path.stem},
            )  # fmt: skip


def _painted(path: Path, cells, seed: int) -> Path:
    import cv2
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(seed)
    image = np.full((SIDE_PX, SIDE_PX, 3), (225, 190, 215), np.uint8)
    for x0, y0, x1, y1 in cells:
        axes = (x1 - x0) // 2, (y1 - y0) // 2
        cv2.ellipse(image, ((x0 + x1) // 2, (y0 + y1) // 2), axes, 0, 0, 360, (90, 60, 140), -1)
    noise = generator.integers(-8, 8, image.shape)
    Image.fromarray(np.clip(image + noise, 0, 255).astype(np.uint8)).save(path)
    return path
