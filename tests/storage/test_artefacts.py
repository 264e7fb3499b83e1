import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import IntegrityError, WorkspaceError
from storage import artefacts
from storage.artefacts import (
    MANIFEST,
    canonical_json,
    commit,
    digest_of,
    draft,
    manifest_of,
    opened,
    problems,
)
from storage.layout import Kind, Ref, Workspace


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


def made(at, text="pixels", digest=None):
    with draft(at, Kind.CARD) as work:
        (work.path / "deep").mkdir()
        (work.path / "deep" / "a.txt").write_text(text)
        (work.path / "b.txt").write_text("b")
        return commit(at, Kind.CARD, work, digest)


def seen(at):
    return sorted(path.name for path in (at.root / Kind.CARD).iterdir())


def test_a_committed_draft_is_visible_under_its_digest_with_all_its_files(at):
    ref = made(at)
    folder = opened(at, ref)
    assert folder == at.path(ref)
    assert (folder / "deep" / "a.txt").read_text() == "pixels"
    assert seen(at) == [ref.digest]
    assert set(manifest_of(at, ref)["files"]) == {"deep/a.txt", "b.txt"}


def test_the_digest_is_that_of_names_and_content_and_of_nothing_else(at, tmp_path):
    first = made(at)
    assert made(Workspace(tmp_path / "elsewhere")) == first
    assert made(at, "other") != first


def test_a_given_digest_is_the_name(at):
    assert made(at, digest="d" * 32) == Ref(Kind.CARD, "d" * 32)


def test_the_same_content_twice_is_one_artefact(at):
    first = made(at)
    kept = (at.path(first) / "b.txt").stat().st_ino
    assert made(at) == first
    assert (at.path(first) / "b.txt").stat().st_ino == kept
    assert seen(at) == [first.digest]


def test_a_draft_that_is_left_by_an_error_is_gone(at):
    def fail():
        with draft(at, Kind.CARD) as work:
            (work.path / "a.txt").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen(at) == []


def test_a_draft_that_nobody_commits_is_gone(at):
    with draft(at, Kind.CARD) as work:
        (work.path / "a.txt").write_text("half")
    assert seen(at) == []
    assert work.ref is None


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_crash_in_the_middle_of_a_commit_shows_nothing(at, step):
    # A crash runs no clean-up: os._exit stands for a kill at the step itself.
    script = f"""
import os, sys
from pathlib import Path
from storage.artefacts import commit, draft
from storage.layout import Kind, Workspace
def die(*_, **__): os._exit(9)
with draft(Workspace(Path(sys.argv[1])), Kind.CARD) as work:
    (work.path / "a.txt").write_text("whole")
    (os if {step!r} == "fsync" else Path).{step} = die
    commit(Workspace(Path(sys.argv[1])), Kind.CARD, work)
"""
    done = subprocess.run([sys.executable, "-c", script, str(at.root)], check=False)
    assert done.returncode == 9
    (left,) = seen(at)
    assert left.startswith(".draft-")
    ref = made(at)
    assert problems(at, ref, thorough=True) == []


def test_a_full_disk_is_a_workspace_error_and_nothing_is_visible(at, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WorkspaceError, match=r"No space left.*make room"):
            made(at)
        assert seen(at) == []
    made(at)


def test_errors_of_other_kinds_keep_their_type(at):
    with pytest.raises(FileNotFoundError), draft(at, Kind.CARD) as work:
        (work.path / "none.txt").read_text()


def test_everything_is_on_disk_before_it_is_visible(at, monkeypatch):
    synced, seen_then = [], []
    real = os.fsync

    def fsync(descriptor):
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        seen_then.append(any(not name.startswith(".draft-") for name in seen(at)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    ref = made(at)
    names = [path.rpartition("/.draft-")[2].partition("/")[2] for path in synced[:-1]]
    assert {"b.txt", "deep/a.txt", "deep", MANIFEST, ""} == set(names)
    assert not any(seen_then[:-1])
    # At last the folder that holds the new name.
    assert (synced[-1], seen_then[-1]) == (str(at.path(ref).parent), True)


def test_deleted_altered_and_longer_files_are_noticed(at):
    ref = made(at)
    folder = at.path(ref)
    (folder / "b.txt").write_text("bb")
    (folder / "deep" / "a.txt").write_text("pixelz")
    found = problems(at, ref)
    assert len(found) == 2
    assert "2 bytes, expected 1" in found[0]
    assert "content differs" in found[1]
    (folder / "b.txt").unlink()
    assert "b.txt: missing" in problems(at, ref)[0]
    with pytest.raises(IntegrityError, match="Run the same command again"):
        opened(at, ref)


def test_a_new_time_alone_is_no_problem(at):
    ref = made(at)
    os.utime(at.path(ref) / "b.txt", ns=(1, 1))
    assert problems(at, ref) == []


def altered_in_silence(at, ref):
    path = at.path(ref) / "b.txt"
    before = path.stat()
    path.write_text("x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_flipped_bit_that_left_size_and_time_is_found_by_the_thorough_check(at):
    ref = made(at)
    altered_in_silence(at, ref)
    assert problems(at, ref) == []
    assert len(problems(at, ref, thorough=True)) == 1


def test_what_is_damaged_is_replaced_when_it_is_made_again(at):
    ref = made(at)
    altered_in_silence(at, ref)
    assert made(at) == ref
    assert problems(at, ref, thorough=True) == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 1}'])
def test_a_manifest_that_is_none_means_a_damaged_artefact(at, text):
    ref = made(at)
    (at.path(ref) / MANIFEST).write_text(text)
    with pytest.raises(IntegrityError, match="run the same command again"):
        manifest_of(at, ref)
    assert problems(at, ref)


def test_an_artefact_of_a_newer_format_is_not_called_damaged(at):
    ref = made(at)
    path = at.path(ref) / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    with pytest.raises(WorkspaceError, match=r"format 99.*newer signetflow"):
        problems(at, ref)


def test_an_artefact_that_is_not_there_is_a_problem(at):
    (sentence,) = problems(at, Ref(Kind.CARD, "0" * 32))
    assert "deleted or damaged" in sentence


def test_canonical_json_is_equal_for_equal_values_only():
    assert canonical_json({"b": 1, "a": [1.5, None]}) == '{"a":[1.5,null],"b":1}'
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": "1"})
    assert len(digest_of(0)) == artefacts.DIGEST_LENGTH


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), float("inf"), object()])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        canonical_json(value)


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"format_version": [1], "files": {}}', '{"format_version": 1, "files": [1]}',
     '{"format_version": 1, "files": {"a": {"size": 1}}}', "[" * 100_000],
)  # fmt: skip
def test_a_manifest_of_another_form_is_no_traceback(tmp_path, text):
    at = Workspace(tmp_path / "workspace")
    ref = Ref(Kind.CARD, "0" * 32)
    at.path(ref).mkdir(parents=True)
    (at.path(ref) / "MANIFEST.json").write_text(text)
    with pytest.raises(IntegrityError, match="no readable MANIFEST"):
        manifest_of(at, ref)
