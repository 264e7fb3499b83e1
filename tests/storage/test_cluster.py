"""Blocks of slides on a real Dask cluster of two processes: the same bytes as with threads."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from typing import Any

import numpy as np
import psutil
import pytest
from distributed.comm.core import CommClosedError

from models.annotations import Annotations, Role
from models.errors import OperationsError
from models.geometry.settings import TileSettings
from models.geometry.tiles import Window
from models.runtime_settings import DaskSettings
from storage import cluster
from storage.artefacts import manifest_of
from storage.cluster import Cluster
from storage.cutting import Source, begin
from storage.datasets.catalogue import register
from storage.datasets.protocol import KnownWindow, SourceItem
from storage.datasets.synthetic.slides import write_svs
from storage.layout import Workspace
from storage.regions import extract_regions, open_regions
from tasks.ingest import extract
from tasks.stage import Run
from tests.storage.cluster_of_two import cluster_of_two

TILES = TileSettings(downsample=1, region_px=1024)


def drawn(side, seed):
    """Return glass with stained tissue, (side, side, 3)."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), 243, np.uint8)
    tissue = image[: side * 2 // 3, : side * 3 // 4]
    tissue[:] = (205, 120, 190)
    tissue -= rng.integers(0, 40, tissue.shape, np.uint8)
    return image


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    """A workspace with two slides: one has a window of four shards, one only tissue."""
    folder = tmp_path_factory.mktemp("ground")
    at, items = Workspace(folder / "workspace"), []
    for number, (side, windows) in enumerate([(4300, ((0, 0, 4200, 4150),)), (3000, ())]):
        path = folder / f"s{number}.svs"
        write_svs(path, drawn(side, number))
        known = tuple(KnownWindow(Window(*box), Role.POSITIVE) for box in windows)
        items.append(SourceItem(
            path.stem, path, side, side, 0.25, known, Role.UNLABELLED, Annotations.none(), None
        ))  # fmt: skip
    ref = register(at, items, name="data").ref
    assert ref is not None
    return at, ref


@pytest.fixture(scope="module")
def by_threads(ground):
    at, dataset = ground
    return extract_regions(at, dataset, TILES)


@pytest.fixture
def two(tmp_path):
    with cluster_of_two(tmp_path) as started:
        yield started


def elsewhere(ground, tmp_path):
    """Return a second workspace with the same dataset."""
    at = Workspace(tmp_path / "elsewhere")
    shutil.copytree(ground[0].root / "datasets", at.root / "datasets")
    return at


def files(at, ref):
    return {name: one["sha256"] for name, one in manifest_of(at, ref)["files"].items()}


def whose(number):
    time.sleep(0.2)
    return number, os.getpid()


@pytest.mark.slow
def test_two_processes_make_the_same_files_as_threads_and_share_the_work(
    ground, by_threads, two, tmp_path
):
    at, dataset = elsewhere(ground, tmp_path), ground[1]
    with Cluster(two.address) as workers:
        assert workers.n_threads() == 2
        pids = {pid for _, (_, pid) in workers.each(whose, range(8))}
        assert pids == {process.pid for process in two.workers}
    ref = extract_regions(at, dataset, TILES, dask=DaskSettings(address=two.address))
    assert ref == by_threads
    assert files(at, ref) == files(ground[0], by_threads)
    shards = open_regions(at, ref).folder / "arrays" / "000000" / "c"
    assert len([path for path in shards.rglob("*") if path.is_file()]) == 4
    for process in two.workers:
        assert psutil.Process(process.pid).children() == []  # no decoder stays


def killing(process):
    """Return a progress that kills a process when the first slide is done."""

    def progress(done, total):
        del total
        if done == 1:
            process.kill()

    return progress


@pytest.mark.slow
def test_a_worker_that_dies_in_mid_work_changes_nothing(ground, by_threads, two, tmp_path):
    at, dask = elsewhere(ground, tmp_path), DaskSettings(address=two.address)
    ref = extract_regions(at, ground[1], TILES, killing(two.workers[0]), dask)
    assert two.workers[0].wait(20) != 0
    assert files(at, ref) == files(ground[0], by_threads)


def killed_at_the_fourth(scheduler):
    """Return how a cluster begins work; the scheduler dies when it is sent the fourth piece."""
    begin, sent = Cluster._begin, []

    def begins(self, work, item):
        sent.append(item)
        if len(sent) == 4:
            scheduler.kill()
        return begin(self, work, item)

    return begins


@pytest.mark.slow
def test_a_scheduler_lost_in_mid_work_is_an_error_and_the_next_try_ends_the_same(
    ground, by_threads, two, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(cluster, "PATIENCE_S", 2.0)
    at, dask = elsewhere(ground, tmp_path), DaskSettings(address=two.address)
    lost = Run(at, "one", dask=dask)
    monkeypatch.setattr(Cluster, "_begin", killed_at_the_fourth(two.scheduler))
    started = time.monotonic()
    with pytest.raises(OperationsError, match=r"lost in mid-work: .*run the same command again"):
        extract(lost, "cut", dataset=ground[1], tiles=TILES)
    assert time.monotonic() - started < 60
    # A worker that is at its last block may still write a file of the draft; gc takes that.
    assert [path for path in (at.root / "regions").glob("*") if path.name[0] != "."] == []
    with pytest.raises(OperationsError, match="no Dask scheduler answers"):
        extract(lost, "cut", dataset=ground[1], tiles=TILES)
    loud = [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert [entry.name for entry in loud if "distributed" in entry.name] == []
    ref = extract(Run(at, "one"), "cut", dataset=ground[1], tiles=TILES)
    assert files(at, ref) == files(ground[0], by_threads)
    assert extract(lost, "cut", dataset=ground[1], tiles=TILES) == ref  # no cluster needed


def sleeper(seconds):
    time.sleep(seconds)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["scheduler", "workers"])
def test_work_that_nobody_does_any_more_is_not_waited_for(two, monkeypatch, who):
    monkeypatch.setattr(cluster, "PATIENCE_S", 1.0)
    killed = [two.scheduler] if who == "scheduler" else two.workers
    with Cluster(two.address) as workers:
        assert list(workers.each(sleeper, [0.0])) == [(0.0, None)]
        death = threading.Timer(1.0, lambda: [process.kill() for process in killed])
        death.start()
        with pytest.raises(OperationsError, match="was lost in mid-work: it"):
            next(workers.each(sleeper, [120.0, 120.0]))
        death.join()


def test_a_wrong_address_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    with pytest.raises(OperationsError, match=r"127\.0\.0\.1:9: no Dask scheduler answers"):
        Cluster("tcp://127.0.0.1:9")


@pytest.mark.slow
def test_a_scheduler_without_a_worker_is_an_error(tmp_path):
    with (
        cluster_of_two(tmp_path, n_workers=0) as started,
        pytest.raises(OperationsError, match=r"has no worker\. Start some"),
    ):
        Cluster(started.address)


def test_a_worker_with_other_versions_is_refused_by_name():
    expected = cluster.identity() | {"zarr": "2.18.0"}
    with pytest.raises(OperationsError, match=r"has zarr 3.*expected zarr 2\.18\.0"):
        cluster._checked(whose, expected, 1)
    assert cluster._checked(whose, cluster.identity(), 1) == (1, os.getpid())


def test_a_worker_that_sees_neither_slide_nor_workspace_says_so(tmp_path):
    missing = tmp_path / "a.svs"
    one = Source(0, "job", missing, None, (9, 9), (), None, 1.0, TILES, tmp_path)
    with pytest.raises(OperationsError, match="under the same paths"):
        begin(one)


class Fetched:
    """A result that is said to be there; fetching it goes as given, one after the other."""

    def __init__(self, *outcomes, status="finished"):
        self.outcomes, self.status = list(outcomes), status

    def add_done_callback(self, call):
        call(self)

    def done(self):
        return True

    def result(self, timeout):
        del timeout
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Seen:
    """A cluster that says in turn what is wrong with it."""

    def __init__(self, *troubles):
        self.troubles = list(troubles)

    def trouble(self):
        return self.troubles.pop(0)

    def lost(self, why):
        return OperationsError(why)


def fetch(seen: Any, fetched: Any) -> Any:
    return cluster._Sent(seen, fetched).result()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(cluster, "LOOK_S", 0.01)


@pytest.mark.parametrize("broken", [TimeoutError("15 s"), CommClosedError("reset by peer")])
def test_a_result_that_went_with_its_worker_is_fetched_when_it_was_made_again(quick, broken):
    assert fetch(Seen("", ""), Fetched(broken, broken, "made")) == "made"


def test_a_connection_that_breaks_before_the_client_knows_of_its_scheduler_is_a_lost_cluster(quick):
    broken = CommClosedError("reset by peer")
    with pytest.raises(OperationsError, match="does not answer"):
        fetch(Seen("", "it does not answer"), Fetched(broken, broken))


def test_a_result_that_never_comes_is_a_lost_cluster(quick, monkeypatch):
    monkeypatch.setattr(cluster, "LONGEST_FETCH_S", 0.05)
    with pytest.raises(OperationsError, match="15 s"):
        fetch(Seen(*[""] * 99), Fetched(*[TimeoutError("15 s")] * 99))


def test_what_the_work_itself_raises_is_raised(quick):
    full = OSError(28, "no space left")
    with pytest.raises(OSError, match="no space left"):
        fetch(Seen(), Fetched(full, status="error"))
