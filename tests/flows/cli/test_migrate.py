import json

from flows.cli import main
from storage import formats
from storage.checkpoints import save_card
from storage.layout import Kind, Workspace


def test_a_workspace_of_today_needs_nothing(tmp_path, capsys):
    at = Workspace(tmp_path / "workspace")
    save_card(at, {"a": 1})
    assert main(["migrate", "--workspace", str(at.root)]) == 0
    assert "everything is in today's formats" in capsys.readouterr().out


def test_what_is_old_is_listed_first_and_migrated_then(tmp_path, capsys, monkeypatch):
    at = Workspace(tmp_path / "workspace")
    ref = save_card(at, {"a": 1})
    monkeypatch.setitem(formats.CURRENT, Kind.CARD, 2)
    monkeypatch.setitem(formats.MIGRATIONS, (Kind.CARD, 1), lambda folder: None)
    words = ["migrate", "--workspace", str(at.root)]
    assert main([*words, "--dry-run", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed == {"dry_run": True, "artefacts": [str(ref)], "ledger": False}
    assert main([*words, "--dry-run"]) == 0
    assert "1 artefacts are to be migrated" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == listed | {"dry_run": False}
    assert main([*words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["artefacts"] == []
