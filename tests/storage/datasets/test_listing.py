import os

import pytest

from models.errors import InputError
from storage.datasets.listing import listing


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_files_of_all_folders_are_listed_in_one_order(tmp_path):
    make(tmp_path, "b/2.png", "b.png", "a/1.PNG", "a.txt", ".hidden.png", ".git/x.png")
    found = listing(tmp_path, {".png"})
    assert found.files == ("a/1.PNG", "b.png", "b/2.png")
    assert found.refused == ()


def test_links_within_the_folder_are_followed_and_others_refused(tmp_path):
    folder = tmp_path / "data"
    make(folder, "a.png", "c/d.png")
    make(tmp_path, "secret.png")
    (folder / "inside.png").symlink_to("a.png")
    (folder / "outside.png").symlink_to(tmp_path / "secret.png")
    (folder / "broken.png").symlink_to("gone.png")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "far").symlink_to(tmp_path)
    found = listing(folder, {".png"})
    assert found.files == ("a.png", "c/d.png", "inside.png")
    reasons = {one.name: one.reason for one in found.refused}
    assert list(reasons) == ["broken.png", "far", "loop.png", "outside.png"]
    assert "leads out of the dataset's folder" in reasons["outside.png"]
    assert "leads nowhere" in reasons["broken.png"]
    assert "leads nowhere" in reasons["loop.png"]
    assert "a link to a folder" in reasons["far"]


def test_pipes_and_devices_are_refused_by_name(tmp_path):
    make(tmp_path, "a.png")
    os.mkfifo(tmp_path / "b.png")
    os.mkfifo(tmp_path / "c.txt")
    (tmp_path / "d.png").symlink_to("/dev/zero")
    found = listing(tmp_path, {".png"})
    assert found.files == ("a.png",)
    assert [one.name for one in found.refused] == ["b.png", "d.png"]
    assert "a pipe or device" in found.refused[0].reason


def test_the_folder_itself_may_be_a_link(tmp_path):
    make(tmp_path / "data", "a.png")
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "data" / "b.png").symlink_to(tmp_path / "data" / "a.png")
    assert listing(tmp_path / "link", {".png"}).files == ("a.png", "b.png")


def test_names_that_cannot_be_kept_or_shown_are_refused(tmp_path):
    make(tmp_path, "good å.png", "bell\x07.png", "gnp\u202e.png")
    (tmp_path / os.fsdecode(b"no utf-8 \xff.png")).write_text("")
    found = listing(tmp_path, {".png"})
    assert found.files == ("good å.png",)
    assert len(found.refused) == 3
    assert all("control characters" in one.reason for one in found.refused)


def test_a_folder_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    make(tmp_path, "a.png", "locked/b.png")
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    found = listing(tmp_path, {".png"})
    assert found.files == ("a.png",)
    assert [(one.name, one.reason) for one in found.refused] == [
        ("locked", "cannot be read (Permission denied).")
    ]


def test_what_is_no_folder_is_an_error(tmp_path):
    make(tmp_path, "a.png")
    with pytest.raises(InputError, match="there is no such folder"):
        listing(tmp_path / "gone", {".png"})
    with pytest.raises(InputError, match="is a file"):
        listing(tmp_path / "a.png", {".png"})
