import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from models.errors import WorkspaceError
from storage.layout import MINIMUM_FREE_BYTES, Kind, Ref, Workspace, default_root


def test_where_an_artefact_lies_follows_from_the_workspace_alone(tmp_path):
    ref = Ref(Kind.LABELS, "ab" * 16)
    assert Workspace(tmp_path).path(ref) == tmp_path / "labels" / ("ab" * 16)
    assert str(ref) == "labels/" + "ab" * 16


def test_a_new_workspace_is_made_and_left_empty(tmp_path):
    at = Workspace(tmp_path / "deep" / "workspace")
    at.require_writable()
    assert list(at.root.iterdir()) == []


def test_a_workspace_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match=r"file/workspace: .*Not a directory.*--workspace"):
        Workspace(tmp_path / "file" / "workspace").require_writable()


def test_a_read_only_workspace_is_refused_and_left_as_it_was(tmp_path, monkeypatch):
    def refuse(dir: Path) -> None:  # noqa: A002  # as tempfile calls it
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(WorkspaceError, match="Read-only file system"):
        Workspace(tmp_path).require_writable()
    assert list(tmp_path.iterdir()) == []


def test_a_nearly_full_disk_is_refused_with_what_is_free(tmp_path, monkeypatch):
    def usage(_path):
        return shutil._ntuple_diskusage(2**40, 2**40 - 2**20, 2**20)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(WorkspaceError, match=rf"1 MiB are free.*{MINIMUM_FREE_BYTES // 2**20} MiB"):
        Workspace(tmp_path).require_writable()


def test_the_workspace_is_named_by_the_environment_or_lies_here(monkeypatch):
    monkeypatch.delenv("SIGNETFLOW_WORKSPACE", raising=False)
    assert default_root() == Path("workspace")
    monkeypatch.setenv("SIGNETFLOW_WORKSPACE", "/elsewhere")
    assert default_root() == Path("/elsewhere")


def test_embedded_stores_lie_inside_the_workspace(tmp_path):
    at = Workspace(tmp_path)
    assert at.mlflow_uri == f"sqlite:///{tmp_path}/mlflow.db"
    for path in (at.ledger, at.mlflow_artefacts, at.prefect_home):
        assert path.parent == tmp_path
