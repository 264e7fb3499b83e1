"""The flow's own part: what it writes down about a run. Real Prefect runs it in tests/flows/cli."""

from typing import Any

import pytest

from flows.config import Arm
from flows.retrain import NOTHING_NEW, SKIPPED, retrain
from models.errors import InputError, NotFoundError, WorkspaceError
from models.geometry.settings import TileSettings
from storage.labels.log import log
from storage.ledger import Ledger
from storage.locks import retraining
from tasks.report import read_table

pytestmark = pytest.mark.usefixtures("no_mlflow")


def test_a_run_is_written_down_with_its_report_and_told(own_ground):
    networks = {"a": own_ground.config.networks["a"]}
    config = own_ground.config.model_copy(update={"arms": (Arm.SUPERVISED,), "networks": networks})
    text = retrain.fn(config, own_ground.at.root)
    ledger = own_ground.run.ledger
    (run,) = ledger.runs()
    assert (run.state, str(run.result)) == ("completed", text)
    assert run.config == config.model_dump(mode="json")
    assert run.result is not None
    assert {row["arm"] for row in read_table(own_ground.at, run.result)} == {"supervised"}
    states = [one.state for one in ledger.stages_of(run.run_id)]
    assert states == ["cached", "cached", *["completed"] * (len(states) - 2)]
    assert [event.topic.split("/")[0] for event in ledger.pending_events()] == [
        "run", "round", "end",
    ]  # fmt: skip


def test_a_run_that_fails_says_why_and_keeps_what_it_has(own_ground):
    before = log(own_ground.at)
    finer = own_ground.config.model_copy(update={"tiles": TileSettings(mpp=0.25)})
    with pytest.raises(InputError, match="no pixel size"):
        retrain.fn(finer, own_ground.at.root)
    ledger = own_ground.run.ledger
    (run,) = ledger.runs()
    assert run.state == "failed"
    assert "no pixel size" in run.message
    (failed,) = ledger.stages_of(run.run_id)
    assert (failed.label, failed.state) == ("cut regions", "failed")
    assert [event.body.get("state") for event in ledger.pending_events()] == [None, "failed"]
    assert log(own_ground.at) == before


def test_a_run_that_was_killed_before_its_end_was_written_tells_its_end(own_ground, monkeypatch):
    config = supervised_only(own_ground)

    class Killed(BaseException):
        pass

    def kill(*_words, **_named):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "finish_run", kill)
        with pytest.raises(Killed):
            retrain.fn(config, own_ground.at.root)
    ledger = own_ground.run.ledger
    assert ledger.runs()[0].state == "running"
    told = [event.topic.split("/")[0] for event in ledger.pending_events()]
    assert told == ["run", "round", "end"]
    retrain.fn(config, own_ground.at.root)
    assert ledger.runs()[0].state == "completed"


def test_a_full_disk_is_what_is_said_even_if_that_cannot_be_noted(own_ground, monkeypatch):
    def refuse(*_words, **_named):
        raise WorkspaceError("ledger.db: the ledger refused")

    def fill(*_words, **_named):
        for name in ("note_stage", "finish_run", "post"):
            patch.setattr(Ledger, name, refuse)
        raise WorkspaceError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("storage.checkpoints.commit", fill)
        with pytest.raises(WorkspaceError, match="no space left"):
            retrain.fn(supervised_only(own_ground), own_ground.at.root)
    retrain.fn(supervised_only(own_ground), own_ground.at.root)
    assert own_ground.run.ledger.runs()[0].state == "completed"


def test_an_unknown_dataset_leaves_no_run(own_ground):
    config = own_ground.config.model_copy(update={"dataset": "none"})
    with pytest.raises(NotFoundError):
        retrain.fn(config, own_ground.at.root)
    assert own_ground.run.ledger.runs() == ()


def test_the_flow_caches_nothing_and_is_called_by_the_runs_name():
    assert retrain.persist_result is False
    assert retrain.name == "retrain"
    assert retrain.flow_run_name == "{config.name}"


def supervised_only(ground):
    networks = {"a": ground.config.networks["a"]}
    return ground.config.model_copy(update={"arms": (Arm.SUPERVISED,), "networks": networks})


def test_unchanged_data_end_as_nothing_new_and_say_which_report(own_ground):
    config = supervised_only(own_ground)
    text = retrain.fn(config, own_ground.at.root)
    again: Any = retrain.fn(config, own_ground.at.root)
    assert (again.type.value, again.name) == ("COMPLETED", NOTHING_NEW)
    assert text in again.message
    assert again.data == text


def test_a_second_retraining_is_skipped_when_it_is_told_to_be(own_ground):
    config = supervised_only(own_ground)
    with retraining(own_ground.at, "join"):
        ended: Any = retrain.fn(config, own_ground.at.root, "skip")
    assert (ended.type.value, ended.name) == ("COMPLETED", SKIPPED)
    assert "retrains here already" in ended.message
    assert own_ground.run.ledger.runs() == ()


def test_a_second_retraining_joins_unless_it_is_told_not_to(own_ground):
    config = supervised_only(own_ground)
    with retraining(own_ground.at, "join"):
        assert retrain.fn(config, own_ground.at.root).startswith("reports/")


def test_a_run_begins_from_labels_that_a_person_reviewed(own_ground):
    from storage.labels.store import LabelDraft, open_version
    from storage.labels.tags import tag

    config = supervised_only(own_ground)
    first = open_version(own_ground.at, own_ground.annotated)
    with LabelDraft(
        own_ground.at, parent=own_ground.annotated, chain="annotations", round=0, stage="import",
        parameters={"reviewer": "Dr. Ito"},
    ) as draft:  # fmt: skip
        for region_id in first.region_ids:
            draft.keep(region_id)
        reviewed = draft.commit()
    tag(own_ground.at, "reviewed", reviewed)
    retrain.fn(config.model_copy(update={"labels": "reviewed"}), own_ground.at.root)
    (run,) = own_ground.run.ledger.runs()
    labels = {row["label_version"] for row in read_table(own_ground.at, run.result)}
    assert labels == {reviewed.digest}


def test_labels_of_other_regions_are_refused(own_ground):
    from storage.labels.tags import tag

    config = supervised_only(own_ground)
    tag(own_ground.at, "first", own_ground.annotated)
    coarser = config.model_copy(update={"labels": "first", "tiles": TileSettings(downsample=2)})
    with pytest.raises(InputError, match="drawn on regions"):
        retrain.fn(coarser, own_ground.at.root)


def test_a_report_is_found_under_its_run(own_ground):
    text = retrain.fn(supervised_only(own_ground), own_ground.at.root)
    (run,) = own_ground.run.ledger.runs()
    linked = own_ground.at.root / "reports" / run.run_id
    assert str(linked.readlink()) == text.removeprefix("reports/")
