"""A whole run with a real Dask cluster of two processes makes what a run in threads makes."""

from __future__ import annotations

import shutil

import pytest

from flows.config import Arm
from flows.stages import Conductor, open_run
from models.runtime_settings import DaskSettings
from storage.artefacts import manifest_of
from storage.layout import Kind, Ref, Workspace
from tests.storage.cluster_of_two import cluster_of_two

KINDS = (Kind.REGIONS, Kind.LABELS, Kind.DETECTIONS, Kind.CHECKPOINT)


@pytest.mark.slow
def test_a_run_with_rounds_on_a_cluster_makes_the_same_files_under_the_same_keys(
    own_ground, tmp_path
):
    networks = {"a": own_ground.config.networks["a"]}
    config = own_ground.config.model_copy(update={"arms": (Arm.SELF,), "networks": networks})
    at = Workspace(tmp_path / "elsewhere")
    shutil.copytree(own_ground.at.root / "datasets", at.root / "datasets")
    by_threads = finished(config, own_ground.at)
    with cluster_of_two(tmp_path) as two:
        dask = DaskSettings(address=two.address)
        runtime = config.runtime.model_copy(update={"dask": dask})
        by_cluster = finished(config.model_copy(update={"runtime": runtime}), at)
    assert by_cluster.dask == dask
    assert by_cluster.run_id == by_threads.run_id
    assert keys_of(by_cluster) == keys_of(by_threads)
    assert files_of(at) == files_of(own_ground.at)
    assert len(list((at.root / Kind.LABELS).glob("[0-9a-f]*"))) == 3


def finished(config, at):
    """Go through every stage; return the run."""
    run = open_run(config, at)
    Conductor(run, config).report()
    return run


def keys_of(run):
    return {stage.key for stage in run.ledger.stages_of(run.run_id)}


def files_of(at):
    """Return the digest of each file of each artefact; when a version was made does not count."""
    refs = [Ref(kind, path.name) for kind in KINDS for path in (at.root / kind).glob("[0-9a-f]*")]
    return {
        str(ref): {
            name: one["sha256"]
            for name, one in manifest_of(at, ref)["files"].items()
            if name != "version.json"
        }
        for ref in refs
    }
