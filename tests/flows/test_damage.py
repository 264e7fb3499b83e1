"""Artefacts that were deleted or altered behind a run: noticed, named and made again, alone."""

import os
import shutil

import pytest

from flows.planning import plan_of, verified
from flows.stages import Conductor, open_run
from models.errors import IntegrityError
from storage.artefacts import files_of, problems
from storage.layout import Kind, Workspace
from tasks.stage import StageCall

MADE = (
    "extract", "annotate", "train", "predict", "relabel", "judge", "evaluate", "report",
)  # fmt: skip
"""Stages that between them make every kind of artefact but the dataset."""


def conduct(config, at):
    """Go through a run; return the report and, by key, whether each stage was made or cached."""
    run = open_run(config, at)
    report = Conductor(run, config).report()
    states = {one.key: one.state for one in run.ledger.stages_of(run.run_id)}
    messages = {one.key: one.message for one in run.ledger.stages_of(run.run_id)}
    return report, states, messages


@pytest.fixture(scope="module")
def finished(ground, tmp_path_factory):
    """Return a finished run of one network; leave it as it is."""
    content = ground.config.model_dump(mode="json")
    content |= {"arms": ["self"], "networks": {"a": content["networks"]["a"]}}
    config = type(ground.config).model_validate(content)
    own = ground.copied(tmp_path_factory.mktemp("finished"), ground.untouched)
    conduct(config, own.at)
    return config, own.at


@pytest.fixture
def harmed(finished, tmp_path):
    """Return a copy of the finished run that a test may harm."""
    config, at = finished
    own = Workspace(tmp_path / "workspace")
    shutil.copytree(at.root, own.root, symlinks=True)
    return config, own


def made_by(config, at, name) -> StageCall:
    return next(call for call in plan_of(config, at).calls if call.name == name)


def own_file(folder):
    """Return the largest file that no other artefact shares."""
    own = (path for path in files_of(folder) if path.stat().st_nlink == 1)
    return max(own, key=lambda path: path.stat().st_size)


def alter(folder):
    path = own_file(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def alter_in_silence(folder):
    """Flip a bit and leave size and time as they were."""
    path = own_file(folder)
    before = path.stat()
    alter(folder)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def delete(folder):
    shutil.rmtree(folder)


def test_an_untouched_run_has_nothing_to_do(harmed):
    config, at = harmed
    assert plan_of(config, at).pending == []
    assert set(conduct(config, at)[1].values()) == {"cached"}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("harm", [delete, alter])
def test_a_harmed_artefact_is_named_and_made_again_and_nothing_else(harmed, name, harm, caplog):
    config, at = harmed
    call = made_by(config, at, name)
    assert call.ref is not None
    before = problems(at, call.ref, thorough=True)
    harm(at.path(call.ref))
    assert (before, len(problems(at, call.ref))) == ([], 1)
    _, states, messages = conduct(config, at)
    assert [key for key, state in states.items() if state == "completed"] == [call.key]
    assert str(call.ref) in messages[call.key]
    assert f"made again, because of {call.ref}" in caplog.text
    assert problems(at, call.ref, thorough=True) == [] or call.ref.kind is Kind.REPORT
    assert set(conduct(config, at)[1].values()) == {"cached"}


@pytest.mark.parametrize("name", ["extract", "annotate", "train", "predict", "relabel", "report"])
def test_a_plan_names_what_is_harmed_and_what_stands_on_it_stays_finished(harmed, name):
    config, at = harmed
    call = made_by(config, at, name)
    alter(at.path(call.ref))  # of a checkpoint the weights, not the card
    (pending,) = plan_of(config, at).pending
    assert (pending.key, pending.label) == (call.key, call.label)
    assert str(call.ref) in pending.harm


@pytest.mark.parametrize("name", ["judge", "evaluate"])
def test_without_a_card_a_plan_counts_all_that_may_follow(harmed, name):
    config, at = harmed
    call = made_by(config, at, name)
    shutil.rmtree(at.path(call.ref))
    pending = plan_of(config, at).pending
    assert (pending[0].key, pending[0].harm != "") == (call.key, True)
    assert len(pending) > 1


@pytest.mark.parametrize("name", MADE)
def test_a_bit_flipped_in_silence_is_found_when_everything_is_read(harmed, name, caplog):
    config, at = harmed
    call = made_by(config, at, name)
    assert call.ref is not None
    alter_in_silence(at.path(call.ref))
    # Sizes and times say nothing; only cards, which decide how a run goes on, are always read.
    assert bool(plan_of(config, at).pending) == (call.ref.kind is Kind.CARD)
    heard = []
    plan = verified(config, at, lambda done, total: heard.append((done, total)))
    assert call.key in {one.key for one in plan.pending}
    assert heard[0][0] == 0
    assert heard[-1][0] == heard[-1][1] - 1
    _, states, _ = conduct(config, at)
    assert [key for key, state in states.items() if state == "completed"] == [call.key]
    assert verified(config, at, lambda _done, _total: None).pending == []


def test_a_harmed_dataset_is_named_and_must_be_ingested_again(harmed, ground):
    config, at = harmed
    alter_in_silence(at.path(ground.dataset))
    with pytest.raises(IntegrityError, match=str(ground.dataset)):
        verified(config, at, lambda _done, _total: None)


def test_reading_everything_changes_nothing_where_nothing_is_wrong(harmed):
    config, at = harmed
    before = {path: path.stat().st_mtime_ns for path in at.root.rglob("*") if path.is_file()}
    assert verified(config, at, lambda _done, _total: None).pending == []
    after = {path: path.stat().st_mtime_ns for path in before}
    assert {path for path in before if before[path] != after[path]} <= set(at.ledger.iterdir())
