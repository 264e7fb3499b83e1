"""Retention as a flow; what it may remove: tests/storage/test_retention.py."""

import pytest

from flows.retrain import NOTHING_NEW, SKIPPED
from flows.upkeep import tidy
from models.errors import NotFoundError
from storage.layout import Kind
from storage.locks import shared


@pytest.fixture
def draft(own_ground):
    """Return what a killed run left."""
    draft = own_ground.at.root / Kind.LABELS / ".draft-1"
    draft.mkdir()
    (draft / "half").write_bytes(b"x" * 2**20)
    return draft


def test_what_went_is_said_and_the_second_time_nothing_goes(own_ground, draft):
    root = own_ground.at.root
    said = tidy.fn(root, dry_run=True)
    assert said.name == "Would tidy"
    assert draft.exists()
    done = tidy.fn(root)
    assert done.name == "Tidied"
    assert ("labels/.draft-1" in done.data, draft.exists()) == (True, False)
    assert "artefacts stay" in done.message
    assert tidy.fn(root).name == NOTHING_NEW


def test_it_is_skipped_while_somebody_is_at_work(own_ground, draft):
    with shared(own_ground.at):
        state = tidy.fn(own_ground.at.root)
    assert (state.name, state.type.value) == (SKIPPED, "COMPLETED")
    assert "uses the workspace" in state.message
    assert draft.exists()


def test_a_workspace_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(NotFoundError, match="no workspace to tidy"):
        tidy.fn(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_figures_are_written_with_it(own_ground, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNETFLOW_METRICS", str(tmp_path / "x.prom"))
    tidy.fn(own_ground.at.root)
    assert "signetflow_disk_free_bytes" in (tmp_path / "x.prom").read_text()
