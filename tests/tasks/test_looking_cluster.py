"""Cells found by a real Dask cluster of two processes: the same bytes as with threads."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count

import psutil
import pytest

from models.errors import OperationsError
from models.methods.detector import Detector
from models.runtime_settings import DaskSettings
from storage import cluster
from storage.blocks import blocks_of
from storage.cluster import Cluster
from storage.layout import Workspace
from storage.scale import Scale
from storage.slides import open_slide
from tasks.find import Finder, surveys, write_found
from tasks.looking import looking
from tasks.stage import Run
from tests.storage.cluster_of_two import cluster_of_two
from tests.tasks.large import CORE_PX, detector, large_ground
from tests.tasks.test_predict import always_sealing


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return large_ground(tmp_path_factory.mktemp("large"))


@pytest.fixture(autouse=True)
def in_blocks(monkeypatch):
    monkeypatch.setattr("storage.blocks.CORE_PX", CORE_PX)
    monkeypatch.setattr("tasks.predict.load_detector", lambda *_: detector())


@pytest.fixture
def two(tmp_path):
    with cluster_of_two(tmp_path) as started:
        yield started


def dying_at(number, process):
    """Return how a cluster begins work; a process dies when a piece of that number is sent."""
    begin, sent = Cluster._begin, count(1)

    def begins(self, work, item):
        if next(sent) == number:
            process.kill()
        return begin(self, work, item)

    return begins


def drafts(root):
    return [path for path in (root / "detections").glob(".*") if path.is_dir()]


def written(finder, picture, folder, dask=None):
    """Return what the command writes of a picture in blocks."""
    asked = surveys(finder, [picture], None, dask)[picture]
    assert len(asked.blocks) == 1
    with open_slide(picture) as slide:
        blocks = tuple(blocks_of(slide, asked.downsample, core_px=CORE_PX))
    folder.mkdir()
    with looking(Workspace(folder), finder.detector, dask=dask) as network:
        asked = replace(asked, blocks=blocks)
        write_found(finder, asked, folder / "a.geojson", network, lambda: None)
    return json.loads((folder / "a.geojson").read_text())["features"]


@pytest.mark.slow
def test_two_processes_find_the_same_one_of_which_dies(ground, two, tmp_path, monkeypatch):
    expected, dask = ground.predicted(), DaskSettings(address=two.address)
    finder = Finder("c" * 32, detector(), Scale(1.0, None))
    picture = ground.at.root.parent / "large.png"
    alone, together = tmp_path / "alone", tmp_path / "together"
    features = written(finder, picture, alone)
    assert len(features) > 200
    assert written(finder, picture, together, dask) == features
    assert drafts(together) == []
    monkeypatch.setattr(Cluster, "_begin", dying_at(5, two.workers[0]))
    other = ground.elsewhere(tmp_path)
    assert other.predicted(Run(other.at, "large", dask=dask)) == expected
    assert other.files(expected) == ground.files(expected)
    assert two.workers[0].wait(20) != 0
    assert drafts(other.at.root) == []
    assert psutil.Process(two.workers[1].pid).children() == []  # no decoder stays


@pytest.mark.slow
def test_a_scheduler_lost_in_mid_region_is_an_error_and_the_next_try_ends_the_same(
    ground, two, tmp_path, monkeypatch
):
    monkeypatch.setattr(cluster, "PATIENCE_S", 2.0)
    expected, other = ground.predicted(), ground.elsewhere(tmp_path)
    lost = Run(other.at, "large", dask=DaskSettings(address=two.address))
    monkeypatch.setattr(Cluster, "_begin", dying_at(6, two.scheduler))
    always_sealing(monkeypatch)
    with pytest.raises(OperationsError, match=r"lost in mid-work: .*run the same command again"):
        other.predicted(lost)
    assert drafts(other.at.root) == []
    looked_at: list[object] = []
    look = Detector.look

    def seen(*words):
        looked_at.append(words)
        return look(*words)

    monkeypatch.setattr(Detector, "look", seen)
    assert other.predicted() == expected
    assert other.files(expected) == ground.files(expected)
    assert len(looked_at) < 4 * 3 + 1  # what was found before is kept
