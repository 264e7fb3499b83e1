"""Labels merged, counted and checked on a real Dask cluster: the same bytes as with threads."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from models.annotations import Role
from models.errors import OperationsError
from models.merging.settings import MergeSettings
from models.methods.settings import StopSettings
from models.runtime_settings import DaskSettings
from storage import block_work, cluster
from storage.artefacts import files_of, hash_file, manifest_of
from storage.checkpoints import load_card
from storage.datasets.splits import Part
from storage.labels import levels
from storage.labels.diff.compare import diff
from storage.labels.export import export_geojson
from storage.labels.ome_zarr import export_ome_zarr
from storage.labels.revert import What, revert
from storage.labels.review import Request, import_review
from storage.labels.store import open_version
from storage.labels.verify import verify, version_refs
from storage.layout import Kind, Workspace
from tasks.ingest import annotate
from tasks.judge import judge
from tasks.relabel import Step, relabel
from tasks.stage import Work, observer
from tests.storage.cluster_of_two import cluster_of_two
from tests.storage.labels.conftest import Versions

STEP = Step("hard/fold0/seed0/self/a", "self", 1, MergeSettings(threshold=0.5))


@pytest.fixture(scope="module", autouse=True)
def small_shards():
    """Cut exported images into several blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "SHARD_PX", 512)
        yield


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
    drawing, merging = (Work(own.at, "key", label, dask=dask) for label in ("draw", "merge"))
    first = annotate.body(drawing, regions=own.regions, ellipses=own.config.ellipses)
    second = relabel.body(
        merging, regions=own.regions, annotated=first, previous=first, detections=detections,
        step=STEP,
    )  # fmt: skip
    return first, second


def all_of(own, detections, dask=None):
    """Return everything that was made, and every number that was counted."""
    work = Work(own.at, "key", "label", dask=dask)
    refs = first, second = versions(own, detections, dask)
    verdict = judge.body(work, before=first, after=second, round_number=1, stop=StopSettings())
    reverted = revert(own.at, second, What(round=1), dask=dask)
    reviewed = import_review(own.at, [corrected(own, second)], Request("me", dask=dask))
    images = own.at.root / "images"
    export_ome_zarr(open_version(own.at, second), images / "small", dask=dask)
    export_ome_zarr(wide(images), images / "wide", dask=dask)
    return {
        "files": {str(ref): files(own, ref) for ref in (*refs, reverted.ref, reviewed.ref)},
        "verdict": load_card(own.at, verdict),
        "diff": diff(own.at, first, second, dask=dask).to_json(),
        "reverted": reverted.removed,
        "reviewed": reviewed.to_json(),
        "images": {
            str(path.relative_to(images)): hash_file(path)
            for name in ("small", "wide")
            for path in files_of(images / name)
        },
        "verified": verify(own.at, version_refs(own.at), dask=dask).to_json(),
    }


def corrected(own, version):
    """Export the cells of a slide, take one away and move one; return the file."""
    folder = own.at.root / "review"
    paths = export_geojson(open_version(own.at, version), folder).files
    path = max(paths, key=lambda path: path.stat().st_size)
    content = json.loads(path.read_text())
    cells = [one for one in content["features"] if not one["properties"].get("isLocked")]
    content["features"].remove(cells[0])
    ring = cells[1]["geometry"]["coordinates"][0]
    ring[:] = [[x + 2, y + 1] for x, y in ring]
    path.write_text(json.dumps(content))
    return path


def wide(folder):
    """Return a version with a region of several levels."""
    made = Versions(Workspace(folder / "workspace"))
    made.shape = (700, 1301)
    return open_version(made.at, made.round(made.ingest(), found=([1200, 600, 1240, 640],)))


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
    assert by_one_thread["diff"]["pixels"]["changed_px"] > 0
    assert sum(by_one_thread["reverted"].values()) > 0
    assert by_one_thread["reviewed"]["removed"] == 1
    assert by_one_thread["reviewed"]["moved"] == 1
    wide = [name for name in by_one_thread["images"] if name.startswith("wide/slide%2Ea@0,0/")]
    assert len([name for name in wide if "/labels/classes/0/c/" in name]) == 6


def test_rounds_are_judged_and_corrections_drawn_by_the_cluster_that_was_named(
    place, detections, monkeypatch
):
    own = place("named")
    first, second = versions(own, detections)
    monkeypatch.setattr(cluster, "CONNECT_S", 0.2)
    lost = DaskSettings(address="tcp://127.0.0.1:9")
    with pytest.raises(OperationsError, match="no Dask scheduler answers"):
        judge.body(
            Work(own.at, "key", "label", dask=lost), before=first, after=second, round_number=1,
            stop=StopSettings(),
        )  # fmt: skip
    with pytest.raises(OperationsError, match="no Dask scheduler answers"):
        import_review(own.at, [corrected(own, second)], Request("me", dask=lost))


@pytest.mark.slow
def test_two_processes_make_the_same_files_and_count_the_same_as_threads(
    place, detections, by_one_thread, two
):
    dask = DaskSettings(address=two.address)
    assert all_of(place("two"), detections, dask) == by_one_thread


def once_something_is_merged(kill):
    """Return an observer that kills when the first region is merged."""
    killed: list[object] = []

    def watch(label, state, done, total):
        if label == "merge" and done and not killed:
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
    watched(once_something_is_merged(two.workers[0].kill))
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
    watched(once_something_is_merged(two.scheduler.kill))
    with pytest.raises(OperationsError, match=r"lost in mid-work: .*run the same command again"):
        versions(own, detections, DaskSettings(address=two.address))
    assert time.monotonic() - started < 60
    (first,) = version_refs(own.at)
    assert [path for path in own.at.path(first).parent.glob("*") if path.name[0] != "."] == [
        own.at.path(first)
    ]
    refs = versions(own, detections)
    assert refs[0] == first
    assert {str(ref): files(own, ref) for ref in refs}.items() <= by_one_thread["files"].items()


def no_drafts(own):
    return list((own.at.root / Kind.LABELS).glob(".draft-*")) == []
