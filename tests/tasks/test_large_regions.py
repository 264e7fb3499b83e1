"""A region in blocks has the cells of the whole, each once, whoever finds them, killed or not."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

from models.geometry.boxes import overlaps
from models.geometry.tiles import Window
from models.methods.detector import Detector
from storage.block_work import AHEAD_PER_THREAD
from storage.blocks import cores_of
from storage.detections import DetectionDraft, Mosaic
from tasks.stage import Run
from tests.tasks.large import (
    BLOCK_PX,
    CORE_PX,
    WIDTH,
    crowd,
    detector,
    large_ground,
    rows,
)
from tests.tasks.test_predict import always_sealing, stopped_at


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return large_ground(tmp_path_factory.mktemp("large"))


@pytest.fixture(autouse=True)
def in_blocks(monkeypatch):
    """Cut regions into small blocks, and have a network that needs no training."""
    monkeypatch.setattr("storage.blocks.CORE_PX", CORE_PX)
    monkeypatch.setattr("tasks.predict.load_detector", lambda *_: detector())


@pytest.fixture(scope="module")
def whole(ground, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.blocks.CORE_PX", WIDTH)
        patch.setattr("tasks.predict.load_detector", lambda *_: detector())
        other = ground.elsewhere(tmp_path_factory.mktemp("whole"))
        return other.found(other.predicted())


@pytest.fixture
def looked_at(monkeypatch):
    """Return the areas that the network looks at."""
    areas, look = [], Detector.look

    def seen(self, source, area):
        areas.append(area)
        return look(self, source, area)

    monkeypatch.setattr(Detector, "look", seen)
    return areas


def test_a_region_in_blocks_has_every_cell_of_the_whole_once(ground, whole, tmp_path, looked_at):
    other = ground.elsewhere(tmp_path)
    cells, _ = other.found(other.predicted())
    assert len(looked_at) == 4 * 3 + 1  # and the small region
    assert len(whole[0]) > 200
    assert len(overlaps(cells.boxes, cells.boxes, 0.5).rows) == len(cells), "found twice"
    found, expected = rows(cells), rows(whole[0])
    assert [(box, ring) for box, ring, _ in found] == [(box, ring) for box, ring, _ in expected]
    scores = np.array([score for *_, score in found])
    np.testing.assert_allclose(scores, [score for *_, score in expected], atol=1e-6)


def test_the_masks_of_the_cores_are_those_of_the_whole(ground, whole, tmp_path):
    other = ground.elsewhere(tmp_path)
    _, masks = other.found(other.predicted())
    np.testing.assert_array_equal(masks.classes, whole[1].classes)
    difference = masks.inner.astype(int) - whole[1].inner
    assert np.abs(difference).max() <= 1  # windows lie elsewhere: rounding
    assert np.count_nonzero(difference) < 10


@pytest.mark.parametrize("n_threads", [1, 4])
def test_the_number_of_threads_changes_no_byte(ground, tmp_path, monkeypatch, n_threads):
    expected = ground.predicted()
    monkeypatch.setattr("storage.block_work.n_cores", lambda: n_threads)
    other = ground.elsewhere(tmp_path)
    assert other.files(other.predicted()) == ground.files(expected)


def test_a_region_goes_on_behind_the_blocks_that_are_sealed_and_ends_in_the_same_bytes(
    ground, tmp_path, monkeypatch, looked_at
):
    expected = ground.predicted()
    n_looks = [len(looked_at)]
    other = ground.elsewhere(tmp_path)
    run = Run(other.at, "large")
    always_sealing(monkeypatch)
    for n_done in (3, 7):
        stopped_at(run, n_done, lambda: other.predicted(run))
        n_looks.append(len(looked_at))
    assert other.predicted(run) == expected
    assert other.files(expected) == ground.files(expected)
    first, second = looked_at[n_looks[0]], looked_at[n_looks[1] : n_looks[2]]
    assert first not in second
    assert len(looked_at) - n_looks[2] == 13 - 7
    assert not list((other.at.ledger / "unfinished").iterdir())


def test_a_finished_region_lasts_although_its_blocks_are_gone(ground, tmp_path, looked_at):
    other = ground.elsewhere(tmp_path)
    run = Run(other.at, "large")
    stopped_at(run, 12, lambda: other.predicted(run))
    looked_at.clear()
    other.predicted(run)
    assert [(area.height, area.width) for area in looked_at] == [(96, 96)]


def test_only_maps_of_a_few_blocks_are_ever_in_memory(ground, tmp_path, monkeypatch, looked_at):
    monkeypatch.setattr("storage.block_work.n_cores", lambda: 1)
    alive, most, look = [], [], Detector.look

    def seen(self, source, area):
        maps = look(self, source, area)
        alive.append(weakref.ref(maps))
        most.append(sum(one() is not None for one in alive))
        return maps

    monkeypatch.setattr(Detector, "look", seen)
    other, left, commit = ground.elsewhere(tmp_path), [], DetectionDraft.commit

    def committed(self, facts):
        left.extend((other.at.ledger / "unfinished").glob("*/blocks/*"))
        return commit(self, facts)

    monkeypatch.setattr(DetectionDraft, "commit", committed)
    other.predicted()
    assert left == []  # nor on the disk
    assert max(max(area.height, area.width) for area in looked_at) <= BLOCK_PX
    assert max(most) <= AHEAD_PER_THREAD + 1


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (2048, 2048, [(2048, 2048)]),
        (2304, 2000, [(2304, 2000)]),
        (2305, 900, [(1152, 900), (1153, 900)]),
        (8192, 8192, [(2048, 2048)] * 16),
        (60, 5000, [(60, 1667), (60, 1666), (60, 1667)]),
    ],
)
def test_cores_are_of_one_size_and_a_little_more_than_one_is_one(height, width, expected):
    cores = cores_of(height, width, core_px=2048)
    assert [(one.height, one.width) for one in cores] == expected
    covered = np.zeros((height // 4 + 1, width // 4 + 1), np.uint8)
    assert sum(one.width * one.height for one in cores) == height * width
    for one in cores:
        covered[-(-one.y0 // 4) : -(-one.y1 // 4), -(-one.x0 // 4) : -(-one.x1 // 4)] += 1
    assert covered[: -(-height // 4), : -(-width // 4)].min() == covered.max() == 1


def test_rows_of_a_mosaic_are_those_of_its_pieces(tmp_path):
    whole = np.random.default_rng(0).integers(0, 255, (70, 50), np.uint8)
    pieces = []
    for number, (y0, y1) in enumerate([(0, 30), (30, 70)]):
        for x0, x1 in [(0, 20), (20, 50)]:
            path = tmp_path / f"{number}-{x0}.npy"
            np.save(path, whole[y0:y1, x0:x1])
            pieces.append((Window(x0, y0, x1, y1), path))
    mosaic = Mosaic((70, 50), tuple(pieces))
    for rows_ in (slice(0, 70), slice(10, 40), slice(29, 31), slice(64, 96)):
        np.testing.assert_array_equal(mosaic[rows_], whole[rows_])


def test_most_cells_of_this_region_are_those_that_were_drawn(whole):
    drawn = np.array(crowd(), np.float64)
    assert len(np.unique(overlaps(whole[0].boxes, drawn, 0.8).columns)) > 0.8 * len(drawn)
