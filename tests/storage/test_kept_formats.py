"""What an earlier signetflow wrote is read for ever: workspaces kept in ``tests/data``.

`tests.data.make_format` wrote them, and reads them here.
"""

import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest

from flows.cli import main
from models.errors import WorkspaceError
from storage import formats, ledger
from storage.artefacts import MANIFEST
from storage.labels.verify import verify, version_refs
from storage.layout import Kind, Workspace
from storage.ledger import Ledger
from storage.migration import migrate, outdated
from tests.data.make_format import HERE, read

KEPT = sorted(HERE.glob("format-*.tar.xz"))
NEWEST = KEPT[-1]


def unpacked(archive: Path, folder: Path) -> Workspace:
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return Workspace(folder / "workspace")


def said(archive: Path) -> dict[str, Any]:
    path = archive.with_name(archive.name.replace(".tar.xz", ".json"))
    written: dict[str, Any] = json.loads(path.read_text())
    return written


def silent(*_: object) -> None:
    """Tell nobody."""


@pytest.fixture
def at(tmp_path):
    return unpacked(NEWEST, tmp_path)


@pytest.fixture
def run(at, capsys):
    def run(*words):
        code = main([*words, "--workspace", str(at.root)])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_a_workspace_of_todays_formats_is_kept():
    today = {str(kind): number for kind, number in formats.CURRENT.items()}
    today["ledger"] = ledger.SCHEMA_VERSION
    assert today in [said(archive)["formats"] for archive in KEPT], (
        "run python -m tests.data.make_format N and commit what it writes"
    )


@pytest.mark.parametrize("archive", KEPT, ids=lambda path: path.name)
def test_what_was_kept_is_migrated_where_it_must_be_and_says_what_it_said(archive, tmp_path):
    at = unpacked(archive, tmp_path)
    migrate(at, silent)
    assert not outdated(at)
    assert read(at) | {"formats": None} == said(archive) | {"formats": None}
    assert verify(at, version_refs(at), silent).findings == []


def test_the_verbs_of_labels_read_what_was_kept(run):
    code, out, _ = run("labels", "verify", "--all")
    assert (code, out.startswith("All is as it was written: 2 versions")) == (0, True)
    code, out, _ = run("labels", "log", "--json")
    assert (code, [one["round"] for one in json.loads(out)["versions"]]) == (0, [0, 1])
    code, out, _ = run("labels", "show", "gold", "--json")
    assert (code, json.loads(out)["n_cells"]) == (0, {"human": 4, "pseudo": 2})
    code, out, _ = run("labels", "blame", "gold", "--region", "image0@0,0", "--cell", "3")
    assert (code, "found by network kept" in out) == (0, True)
    code, out, _ = run("status", "--json")
    assert (code, '"completed"' in out) == (0, True)


def test_reading_what_was_kept_changes_none_of_it(at, run):
    before = {path: path.read_bytes() for path in at.root.glob("*/*/**/*") if path.is_file()}
    run("labels", "verify", "--all")
    read(at)
    assert {p: p.read_bytes() for p in at.root.glob("*/*/**/*") if p.is_file()} == before


def renumber(at: Workspace, kind: Kind, number: int) -> None:
    for path in at.root.glob(f"{kind}/*/{MANIFEST}"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": number}))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_newer_format_is_refused_by_name_whatever_is_read(at, kind):
    renumber(at, kind, formats.CURRENT[kind] + 1)
    with pytest.raises(WorkspaceError, match=rf"{kind}/.* written in format .*newer signetflow"):
        outdated(at)


def test_a_newer_format_of_labels_is_one_line_for_whoever_asks(at, run):
    renumber(at, Kind.LABELS, formats.CURRENT[Kind.LABELS] + 1)
    code, out, err = run("labels", "show", "gold")
    assert (code, out) == (1, "")
    assert "Use the newer signetflow that wrote it." in err
    assert err.count("\n") == 1


def test_a_newer_ledger_is_refused(at):
    with sqlite3.connect(Ledger(at).path) as connection:
        connection.execute(f"PRAGMA user_version={ledger.SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(WorkspaceError, match=r"ledger format .*newer signetflow"):
        Ledger(at).runs()


@pytest.mark.parametrize("kind", list(Kind))
def test_what_was_kept_becomes_the_older_one_and_is_migrated_whole(at, kind, monkeypatch):
    steps: list[Path] = []
    before = read(at)
    monkeypatch.setitem(formats.CURRENT, kind, formats.CURRENT[kind] + 1)
    monkeypatch.setitem(formats.MIGRATIONS, (kind, formats.CURRENT[kind] - 1), steps.append)
    assert {ref.kind for ref in outdated(at).artefacts} == {kind}
    migrate(at, silent)
    assert len(steps) == len(list(at.root.glob(f"{kind}/*/{MANIFEST}"))) > 0
    assert read(at) | {"formats": None} == before | {"formats": None}
    assert verify(at, version_refs(at), silent).findings == []
