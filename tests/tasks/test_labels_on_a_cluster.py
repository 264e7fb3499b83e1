"""Labels merged, counted and checked on a real Dask cluster: the same bytes as with threads."""

from __future__ import annotations

import shutil
import time

import pytest

from models.annotations import Role
from models.errors import OperationsError
from models.merging.settings import MergeSettings
from models.methods.settings import StopSettings
from models.runtime_settings import DaskSettings
from storage import block_work, cluster
from storage.artefacts import manifest_of
from storage.checkpoints import load_card
from storage.datasets.splits import Part
from storage.labels.verify import verify, version_refs
from storage.layout import Kind
from tasks.ingest import annotate
from tasks.judge import judge
from tasks.relabel import Step, relabel
from tasks.stage import Work, observer
from tests.storage.cluster_of_two import cluster_of_two

STEP = Step("hard/fold0/seed0/self/a", "self", 1, MergeSettings(threshold=0.5))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    with cluster_of_two(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture(scope="module")
def detections(ground, perfect):
    """Return what was found in every region, cells that nobody drew among them."""
    return perfect(Part.TRAIN, *Role, boxes=[[8, 10, 32, 34], [40, 40, 60, 70]])


@pytest.fixture
def place(ground, detections, tmp_path):
    """Return a function that gives a workspace with detections and without any label version."""

    def place(name):
        own = ground.copied(tmp_path / name)
        shutil.rmtree(own.at.root / Kind.LABELS)
        return own

    return place


def versions(own, detections, dask=None):
    """Make label version 0 and the next one."""
    work = Work(own.at, "key", "label", dask=dask)
    first = annotate.body(work, regions=own.regions, ellipses=own.config.ellipses)
    second = relabel.body(
        work, regions=own.regions, annotated=first, previous=first, detections=detections, step=STEP
    )
    return first, second


def all_of(own, detections, dask=None):
    """Return everything that was made, and every number that was counted."""
    work = Work(own.at, "key", "label", dask=dask)
    refs = first, second = versions(own, detections, dask)
    verdict = judge.body(work, before=first, after=second, round_number=1, stop=StopSettings())
    return {
        "files": {str(ref): files(own, ref) for ref in refs},
        "verdict": load_card(own.at, verdict),
        "verified": verify(own.at, version_refs(own.at), dask=dask).to_json(),
    }


def files(own, ref):
    """Return the digest of each file; a version says when it was made, and so does not count."""
    listed = manifest_of(own.at, ref)["files"]
    return {name: one["sha256"] for name, one in listed.items() if name != "version.json"}


@pytest.fixture(scope="module")
def by_one_thread(ground, detections, tmp_path_factory):
    own = ground.copied(tmp_path_factory.mktemp("one"))
    shutil.rmtree(own.at.root / Kind.LABELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_work, "n_cores", lambda: 1)
        return all_of(own, detections)


def test_four_threads_make_the_same_files_and_count_the_same_as_one(
    place, detections, by_one_thread, monkeypatch
):
    monkeypatch.setattr(block_work, "n_cores", lambda: 4)
    assert all_of(place("four"), detections) == by_one_thread
    assert by_one_thread["verified"]["ok"]
    assert by_one_thread["verdict"]["n_pseudo"] > 0


@pytest.mark.slow
def test_two_processes_make_the_same_files_and_count_the_same_as_threads(
    place, detections, by_one_thread, two
):
    dask = DaskSettings(address=two.address)
    assert all_of(place("two"), detections, dask) == by_one_thread


def once_something_is_done(kill):
    """Return an observer that kills when the first region of a stage is done."""
    killed = []

    def watch(label, state, done, total):
        if done and not killed:
            killed.append(kill())

    return watch


@pytest.fixture
def watched():
    """Return a function that sets who watches the stages of this test."""
    tokens = []
    yield lambda watch: tokens.append(observer.set(watch))
    for token in tokens:
        observer.reset(token)


@pytest.mark.slow
def test_a_worker_that_dies_while_it_merges_changes_nothing(
    place, detections, by_one_thread, two, watched
):
    own = place("worker")
    watched(once_something_is_done(two.workers[0].kill))
    for ref in versions(own, detections, DaskSettings(address=two.address)):
        assert files(own, ref) == by_one_thread["files"][str(ref)]
    assert two.workers[0].wait(20) != 0
    assert no_drafts(own)


@pytest.mark.slow
def test_a_scheduler_lost_in_mid_merge_leaves_nothing_that_anybody_sees(
    place, detections, by_one_thread, two, watched, monkeypatch
):
    monkeypatch.setattr(cluster, "PATIENCE_S", 2.0)
    own = place("scheduler")
    started = time.monotonic()
    watched(once_something_is_done(two.scheduler.kill))
    with pytest.raises(OperationsError, match=r"lost in mid-work: .*run the same command again"):
        versions(own, detections, DaskSettings(address=two.address))
    assert time.monotonic() - started < 60
    assert [path for path in (own.at.root / Kind.LABELS).glob("*") if path.name[0] != "."] == []
    refs = versions(own, detections)
    assert {str(ref): files(own, ref) for ref in refs} == by_one_thread["files"]


def no_drafts(own):
    return list((own.at.root / Kind.LABELS).glob(".draft-*")) == []
