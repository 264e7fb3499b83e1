import errno
import itertools
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.errors import WorkspaceError
from storage.parts import INDEX, Parts

KILLED = 137
STEPS = (
    (os, "fsync"), (os, "open"), (Path, "replace"), (Path, "write_bytes"), (Path, "mkdir"),
    (shutil, "rmtree"),
)  # fmt: skip
"""Everything that writing a part does to the disk."""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "parts"


def content(name):
    return f"content of {name}".encode() * 100


def finish(parts, name, facts=None):
    with parts.writing(name, facts or {"of": name}) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a.bin").write_bytes(content(name))
        (folder / "b.bin").write_bytes(name.encode())


def linked(parts, target):
    parts.link_into(target)
    return {str(p.relative_to(target)): p.read_bytes() for p in target.rglob("*") if p.is_file()}


def test_what_was_sealed_is_taken_over_with_its_facts(folder, tmp_path):
    before = Parts(folder, seal_every_s=0)
    finish(before, "one", {"cells": 3})
    finish(before, "two")
    after = Parts(folder)
    assert after.take_over("one") == {"cells": 3}
    assert after.take_over("three") is None
    # Only what was taken over is part of the result: another selection may share the folder.
    assert linked(after, tmp_path / "target") == {
        "one/deep/a.bin": content("one"), "one/b.bin": b"one",
    }  # fmt: skip


def test_what_was_not_sealed_in_time_is_made_again(folder, tmp_path):
    before = Parts(folder, seal_every_s=3600)
    finish(before, "one")
    assert not (folder / INDEX).exists()
    after = Parts(folder)
    assert after.take_over("one") is None
    with after.writing("one", {}) as path:
        assert list(path.iterdir()) == []  # nothing of the earlier attempt
        (path / "c.bin").write_bytes(b"c")
    assert linked(after, tmp_path / "target") == {"one/c.bin": b"c"}


def test_a_part_that_failed_is_none(folder, tmp_path):
    parts = Parts(folder, seal_every_s=0)

    def fail():
        with parts.writing("one", {}) as path:
            (path / "a.bin").write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert linked(parts, tmp_path / "target") == {}
    assert Parts(folder).take_over("one") is None


def flip(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


HARMS = {
    "alter": lambda folder: flip(folder / "one" / "deep" / "a.bin"),
    "delete": lambda folder: (folder / "one" / "b.bin").unlink(),
    "add": lambda folder: (folder / "one" / "more.bin").touch(),
    "remove": lambda folder: shutil.rmtree(folder / "one"),
}


@pytest.mark.parametrize("harm", list(HARMS))
def test_a_part_that_was_harmed_meanwhile_is_noticed_and_only_it(folder, harm, caplog):
    before = Parts(folder, seal_every_s=0)
    finish(before, "one")
    finish(before, "two")
    HARMS[harm](folder)
    after = Parts(folder, seal_every_s=0)
    assert after.take_over("one") is None
    assert after.take_over("two") == {"of": "two"}
    assert "one was altered since it was sealed" in caplog.text
    finish(after, "one")
    assert Parts(folder).take_over("one") == {"of": "one"}


def test_a_damaged_list_means_to_begin_again(folder, caplog):
    finish(Parts(folder, seal_every_s=0), "one")
    (folder / INDEX).write_text("{")
    assert Parts(folder).take_over("one") is None
    assert "its parts are made again" in caplog.text


def test_parts_are_sealed_by_time(folder, monkeypatch):
    now = 100.0
    monkeypatch.setattr("storage.parts.time", SimpleNamespace(monotonic=lambda: now))
    parts = Parts(folder, seal_every_s=15)
    sealed = []
    for name in ("a", "b", "c", "d"):
        now += 6.0
        finish(parts, name)
        sealed.append(sorted(json.loads((folder / INDEX).read_text()))
                      if (folder / INDEX).exists() else [])  # fmt: skip
    # The third is finished 18 s after the beginning, the fourth 6 s after that.
    assert sealed == [[], [], ["a", "b", "c"], ["a", "b", "c"]]


def test_linked_parts_share_their_files_and_outlive_the_folder(folder, tmp_path):
    parts = Parts(folder)
    finish(parts, "one")
    parts.link_into(tmp_path / "target")
    assert (tmp_path / "target" / "one" / "b.bin").stat().st_nlink == 2
    shutil.rmtree(folder)
    assert (tmp_path / "target" / "one" / "deep" / "a.bin").read_bytes() == content("one")


def test_a_folder_that_others_filled_is_adopted_as_a_part(folder, tmp_path):
    parts = Parts(folder, seal_every_s=0)
    finish(parts, "one", {"attempt": 1})
    place = folder / ".under-way"
    (place / "deep").mkdir(parents=True)
    (place / "deep" / "a.bin").write_bytes(b"second")
    parts.adopt("one", place, {"attempt": 2})
    assert not place.exists()
    after = Parts(folder)
    assert after.take_over("one") == {"attempt": 2}
    after.link("one/deep", tmp_path / "target" / "elsewhere")
    assert (tmp_path / "target" / "elsewhere" / "a.bin").read_bytes() == b"second"


def test_a_full_disk_is_a_workspace_error(folder, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    parts = Parts(folder, seal_every_s=0)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkspaceError, match=r"No space left.*make room"):
        finish(parts, "one")


def test_a_kill_between_any_two_steps_leaves_whole_parts_only(tmp_path):
    outcomes = []
    for limit in range(200):
        folder = tmp_path / str(limit)
        finish(Parts(folder, seal_every_s=0), "first")
        code = _write_and_die(folder, limit)
        after = Parts(folder)
        assert after.take_over("first") is not None
        taken = [name for name in ("second", "third") if after.take_over(name) is not None]
        found = linked(after, tmp_path / f"{limit}-target")
        expected = {f"{name}/deep/a.bin": content(name) for name in ("first", *taken)}
        assert {name: data for name, data in found.items() if "deep" in name} == expected
        # And whatever the kill left behind does not disturb who goes on.
        finish(after, "second")
        outcomes.append((code, len(taken)))
        if code == 0:
            break
    assert outcomes[-1] == (0, 2)
    assert {taken for code, taken in outcomes if code == KILLED} == {0, 1, 2}


def _write_and_die(folder, limit):
    """Finish two parts in a forked child that is killed before step number `limit`."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    steps, write_bytes = itertools.count(), Path.write_bytes

    def dying(function):
        def wrapped(*words, **named):
            if next(steps) == limit:
                if function is write_bytes:
                    words[0].touch()  # killed in the middle: made, but empty
                os._exit(KILLED)
            return function(*words, **named)

        return wrapped

    for owner, name in STEPS:
        setattr(owner, name, dying(getattr(owner, name)))
    code = 1
    try:
        parts = Parts(folder, seal_every_s=0)
        parts.take_over("first")
        finish(parts, "second")
        finish(parts, "third")
        code = 0
    finally:
        os._exit(code)  # nothing of pytest may run in the child


def test_parts_that_are_dropped_are_gone_for_the_next_process_too(folder):
    parts = Parts(folder, seal_every_s=0)
    finish(parts, "one")
    parts.drop()
    assert not folder.exists()
    assert Parts(folder).take_over("one") is None
    finish(parts, "two")
    assert [path.name for path in folder.iterdir() if path.is_dir()] == ["two"]


def test_what_is_finished_lasts_when_it_is_told_to(folder):
    parts = Parts(folder, seal_every_s=3600)
    finish(parts, "one")
    assert Parts(folder).take_over("one") is None
    parts.seal()
    assert Parts(folder).take_over("one") is not None
