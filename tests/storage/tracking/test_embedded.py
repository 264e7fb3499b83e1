from pathlib import Path

import pytest

from storage.layout import Workspace
from storage.tracking import embedded


class Client:
    """Makes a database in two steps, between which it may be killed."""

    is_killed = False

    def __init__(self, tracking_uri, registry_uri):
        assert tracking_uri == registry_uri
        self.path = Path(tracking_uri.removeprefix("sqlite:///"))

    def search_experiments(self, max_results):
        with self.path.open("x") as stream:  # what a kill left would be in the way
            stream.write("half")
        self.path.with_name(f"{self.path.name}-journal").write_text("of the half")
        if self.is_killed:
            raise KeyboardInterrupt
        self.path.write_text("whole")
        self.path.with_name(f"{self.path.name}-journal").unlink()


def test_a_database_that_was_not_made_to_its_end_is_never_seen_and_is_made_anew(
    tmp_path, monkeypatch
):
    at = Workspace(tmp_path / "work space")
    monkeypatch.setattr(embedded, "MlflowClient", Client)
    monkeypatch.setattr(Client, "is_killed", True)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            embedded.make(at)
        assert not (at.root / "mlflow.db").exists()
    monkeypatch.setattr(Client, "is_killed", False)
    embedded.make(at)
    embedded.make(at)
    assert [(path.name, path.read_text()) for path in at.root.iterdir()] == [("mlflow.db", "whole")]
