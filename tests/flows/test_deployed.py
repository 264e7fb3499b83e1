"""What deployments run beside a retraining, on the small ground and without Prefect."""

import shutil

import numpy as np
import pytest
from PIL import Image

from flows.config import Arm
from flows.deployed import evaluate, predict, resume
from flows.retrain import NOTHING_NEW, retrain
from models.errors import InputError, NotFoundError, OperationsError
from models.runtime_settings import DaskSettings
from storage import cluster
from storage.datasets.catalogue import open_catalogue
from storage.layout import Kind
from tasks.report import read_table

pytestmark = pytest.mark.usefixtures("no_mlflow")


@pytest.fixture
def config(own_ground):
    networks = {"a": own_ground.config.networks["a"]}
    return own_ground.config.model_copy(update={"arms": (Arm.SUPERVISED,), "networks": networks})


def digest_of_only(at, kind):
    (folder,) = (at.root / kind).glob("[0-9a-f]*")
    return folder.name


def test_what_failed_goes_on_by_the_first_digits_of_its_run(own_ground, config):
    away = own_ground.at.root / "away"
    regions = own_ground.at.path(own_ground.regions)
    text = retrain.fn(config, own_ground.at.root)
    (run,) = own_ground.run.ledger.runs()
    own_ground.run.ledger.finish_run(run.run_id, "failed", 0.0, message="the host died")
    shutil.move(own_ground.at.root / text, away)
    assert regions.exists()
    assert resume.fn(own_ground.at.root, run.run_id[:6]) == text
    assert own_ground.run.ledger.runs()[0].state == "completed"


def test_a_resumed_run_may_be_given_a_cluster_that_its_ledger_does_not_know(
    own_ground, config, monkeypatch
):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    lost = DaskSettings(address="tcp://127.0.0.1:9")
    with_cluster = config.model_copy(
        update={"runtime": config.runtime.model_copy(update={"dask": lost})}
    )
    shutil.rmtree(own_ground.at.root / Kind.LABELS)
    with pytest.raises(OperationsError, match="no Dask scheduler answers"):
        retrain.fn(with_cluster, own_ground.at.root)
    (run,) = own_ground.run.ledger.runs()
    assert "dask" not in run.config["runtime"]
    with pytest.raises(OperationsError, match="no Dask scheduler answers"):
        resume.fn(own_ground.at.root, dask=lost)
    assert resume.fn(own_ground.at.root) == str(own_ground.run.ledger.runs()[0].result)
    assert [one.run_id for one in own_ground.run.ledger.runs()] == [run.run_id]


def test_nothing_unfinished_is_nothing_new(own_ground, config):
    assert resume.fn(own_ground.at.root).name == NOTHING_NEW
    retrain.fn(config, own_ground.at.root)
    assert resume.fn(own_ground.at.root).name == NOTHING_NEW


def test_a_run_that_is_not_there_cannot_be_resumed(own_ground):
    with pytest.raises(NotFoundError, match="0 runs begin with 'abcdef'"):
        resume.fn(own_ground.at.root, "abcdef")


def test_a_checkpoint_is_measured_as_its_own_run_measured_it(own_ground, config):
    retrain.fn(config, own_ground.at.root)
    report = own_ground.run.ledger.runs()[0].result
    row = next(one for one in read_table(own_ground.at, report) if one["truth"] == "complete")
    found = evaluate.fn(own_ground.at.root, row["checkpoint"][:8], "test", config.evaluation)
    assert found["complete"]["froc"] == row["froc"]
    assert found["complete"]["instance_recall"] == row["instance_recall"]


def test_slides_that_have_a_result_are_left_out(own_ground, config, tmp_path):
    retrain.fn(config, own_ground.at.root)
    checkpoint = digest_of_only(own_ground.at, Kind.CHECKPOINT)
    slides, results = tmp_path / "slides", tmp_path / "results"
    slides.mkdir()
    items = open_catalogue(own_ground.at, own_ground.dataset).items
    for item in items[:2]:
        shutil.copy(item.path, slides)
    first = predict.fn(own_ground.at.root, checkpoint[:8], slides, results)
    assert len(first) == 2
    assert predict.fn(own_ground.at.root, checkpoint[:8], slides, results).name == NOTHING_NEW
    Image.fromarray(np.full((64, 64, 3), 240, np.uint8)).save(slides / "new.png")
    assert [one.rpartition("/")[2] for one in predict.fn(
        own_ground.at.root, checkpoint[:8], slides, results
    )] == ["new.png.geojson"]  # fmt: skip


def test_an_empty_folder_is_refused(own_ground, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no file to look at"):
        predict.fn(own_ground.at.root, "abcd", tmp_path / "none", tmp_path / "out")
