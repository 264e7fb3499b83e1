import errno
import itertools
import json
import logging
import os
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

from models.errors import IntegrityError, NotFoundError, WorkspaceError, WrongUseError
from storage import checkpoints
from storage.artefacts import commit, draft
from storage.checkpoints import (
    CARD,
    WEIGHTS,
    UnfinishedWork,
    find_checkpoint,
    load_card,
    load_state,
    save_card,
    save_checkpoint,
)
from storage.layout import Kind, Workspace

KILLED = 9
SAVING_STEPS = (
    (shutil, "rmtree"), (Path, "mkdir"), (safetensors.torch, "save_file"),
    (Path, "write_text"), (checkpoints, "sync"), (os, "fsync"), (Path, "replace"),
)  # fmt: skip
"""What saving does to the disk; a kill may come before each of them."""


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def sink(at):
    return UnfinishedWork.of(at, "key")


def weights(value, shape=(3,)):
    return {"weight": torch.full(shape, float(value))}


def test_a_checkpoint_comes_back_bit_by_bit(at):
    state = {
        "a": torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).T,
        "b": torch.ones(()),
    }
    ref = save_checkpoint(at, state, {"n_steps": 3})
    found = load_state(at, ref)
    assert set(found) == {"a", "b"}
    assert all(torch.equal(found[name], state[name]) for name in state)
    assert load_card(at, ref) == {"n_steps": 3}


def test_a_checkpoint_is_named_by_weights_and_card(at):
    first = save_checkpoint(at, weights(1), {"n_steps": 3})
    assert save_checkpoint(at, weights(1), {"n_steps": 3}) == first
    assert save_checkpoint(at, weights(2), {"n_steps": 3}) != first
    assert save_checkpoint(at, weights(1), {"n_steps": 4}) != first


def test_nothing_on_disk_is_pickled(at):
    folder = at.path(save_checkpoint(at, weights(1), {}))
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".json", ".safetensors"]


def test_an_altered_checkpoint_is_refused(at):
    ref = save_checkpoint(at, weights(1), {})
    with (at.path(ref) / WEIGHTS).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(IntegrityError, match="expected"):
        load_state(at, ref)


def test_a_disk_that_is_full_for_weights_is_a_workspace_error(at, sink, monkeypatch):
    def refuse(_tensors, _path):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", refuse)
    with pytest.raises(WorkspaceError, match=r"weights cannot be written.*No space.*Make room"):
        save_checkpoint(at, weights(1), {})
    assert list((at.root / Kind.CHECKPOINT).iterdir()) == []
    with pytest.raises(WorkspaceError, match="Make room"):
        sink.save(weights(1), {})


def test_a_card_is_small_json_under_the_digest_of_its_content(at):
    ref = save_card(at, {"growth": 0.5, "reason": "labels still change"})
    assert ref.kind is Kind.CARD
    assert load_card(at, ref) == {"growth": 0.5, "reason": "labels still change"}
    assert save_card(at, {"reason": "labels still change", "growth": 0.5}) == ref


def test_a_checkpoint_is_found_by_its_first_digits(at):
    refs = [save_checkpoint(at, weights(n), {}) for n in range(3)]
    for ref in refs:
        assert find_checkpoint(at, ref.digest[:12]) == ref


@pytest.mark.parametrize("text", ["", "zz", "..", "*"])
def test_a_checkpoint_that_is_not_there_is_wrong_use(at, text):
    save_checkpoint(at, weights(0), {})
    with pytest.raises(NotFoundError, match=r"no checkpoint begins with .* among 1"):
        find_checkpoint(at, text)


def test_a_prefix_of_several_checkpoints_is_wrong_use(at):
    digests = [save_checkpoint(at, weights(n), {}).digest for n in range(17)]
    shared = next(d[0] for d in digests if sum(e[0] == d[0] for e in digests) > 1)
    with pytest.raises(WrongUseError, match=rf"checkpoints begin with {shared}: .*give more"):
        find_checkpoint(at, shared)


def test_unfinished_work_is_the_last_that_was_saved(sink):
    assert sink.load() is None
    for step in (1, 2, 3):
        sink.save(weights(step), {"step": step})
        found = sink.load()
        assert found is not None
        tensors, card = found
        assert torch.equal(tensors["weight"], torch.full((3,), float(step)))
        assert card == {"step": step}
    sink.clear()
    assert sink.load() is None
    assert not sink.folder.exists()


def test_unfinished_work_survives_a_kill_between_any_two_steps_of_saving(tmp_path):
    outcomes = []
    for limit in range(40):
        folder = tmp_path / str(limit)
        UnfinishedWork(folder).save(weights(0), {"step": 0})
        UnfinishedWork(folder).save(weights(1), {"step": 1})
        code = _save_and_die(folder, limit)
        found = UnfinishedWork(folder).load()
        assert found is not None
        tensors, card = found
        assert torch.equal(tensors["weight"], torch.full((3,), float(card["step"])))
        outcomes.append((code, card["step"]))
        if code == 0:
            break
        # And whatever the kill left behind does not disturb the next saving.
        UnfinishedWork(folder).save(weights(3), {"step": 3})
        after = UnfinishedWork(folder).load()
        assert after is not None
        assert after[1] == {"step": 3}
    assert outcomes[-1] == (0, 2)
    assert len(outcomes) > 6
    # Once the pointer is replaced the new state counts, even if the kill comes before `save` ends.
    killed = [step for code, step in outcomes if code == KILLED]
    assert killed == sorted(killed)
    assert set(killed) == {1, 2}


def _save_and_die(folder, limit):
    """Save in a forked child that is killed before step number `limit`; return its exit code."""
    tensors = weights(2)
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    steps, write_text = itertools.count(), Path.write_text

    def dying(function):
        def wrapped(*words, **named):
            if next(steps) == limit:
                if function is write_text:
                    words[0].open("w").close()  # killed in the middle: made, but empty
                os._exit(KILLED)
            return function(*words, **named)

        return wrapped

    for owner, name in SAVING_STEPS:
        setattr(owner, name, dying(getattr(owner, name)))
    code = 1
    try:
        UnfinishedWork(folder).save(tensors, {"step": 2})
        code = 0
    finally:
        os._exit(code)  # nothing of pytest may run in the child


@pytest.mark.parametrize("harmed", [WEIGHTS, CARD, "current"])
def test_unfinished_work_that_a_power_cut_emptied_starts_anew_with_a_warning(sink, harmed, caplog):
    sink.save(weights(1), {"step": 1})
    folder = (
        sink.folder if harmed == "current" else sink.folder / (sink.folder / "current").read_text()
    )
    (folder / harmed).write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert sink.load() is None
    assert "starts anew" in caplog.text
    sink.save(weights(2), {"step": 2})
    found = sink.load()
    assert found is not None
    assert found[1] == {"step": 2}


def test_unfinished_work_that_was_altered_starts_anew_with_a_warning(sink, caplog):
    sink.save(weights(1), {"step": 1})
    (path,) = sink.folder.glob(f"*/{WEIGHTS}")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # a weight: safetensors itself would not notice
    path.write_bytes(data)
    assert sink.load() is None
    assert "altered since it was saved" in caplog.text


def test_a_disk_that_is_full_while_a_state_is_saved_leaves_the_old_state(sink, monkeypatch):
    sink.save(weights(1), {"step": 1})

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WorkspaceError, match=r"No space left.*make room"):
            sink.save(weights(2), {"step": 2})
    found = sink.load()
    assert found is not None
    assert found[1] == {"step": 1}


def test_each_stage_has_a_place_of_its_own(at):
    UnfinishedWork.of(at, "one").save(weights(1), {"step": 1})
    UnfinishedWork.of(at, "two").save(weights(2), {"step": 2})
    UnfinishedWork.of(at, "one").clear()
    found = UnfinishedWork.of(at, "two").load()
    assert found is not None
    assert json.dumps(found[1]) == '{"step": 2}'


def test_weights_that_are_none_are_no_traceback(tmp_path):
    at = Workspace(tmp_path / "workspace")
    with draft(at, Kind.CHECKPOINT) as work:
        (work.path / WEIGHTS).write_bytes(b"\x08" + bytes(7) + b'{"a": 1}')
        ref = commit(at, Kind.CHECKPOINT, work)
    with pytest.raises(IntegrityError, match=r"weights\.safetensors: no weights"):
        load_state(at, ref)
