import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import WorkspaceError
from storage import formats, ledger
from storage.artefacts import MANIFEST, commit, draft, format_of, manifest_of, opened, problems
from storage.layout import Kind, Workspace
from storage.ledger import Ledger
from storage.locks import shared
from storage.migration import Outdated, migrate, outdated

KILLED = 137


@pytest.fixture
def at(tmp_path):
    return Workspace(tmp_path / "workspace")


def made(at, kind, text="old"):
    with draft(at, kind) as work:
        (work.path / "deep").mkdir()
        (work.path / "deep" / "a.txt").write_text(text)
        return commit(at, kind, work)


def louder(folder: Path) -> None:
    """Stand for a change of format: from small letters to large ones."""
    path = folder / "deep" / "a.txt"
    path.write_text(path.read_text().upper())


def marked(folder: Path) -> None:
    path = folder / "deep" / "a.txt"
    path.write_text(path.read_text() + "!")


def raised(monkeypatch, to=2):
    """Let cards be of a newer format than those that were made so far."""
    monkeypatch.setitem(formats.CURRENT, Kind.CARD, to)
    monkeypatch.setitem(formats.MIGRATIONS, (Kind.CARD, 1), louder)
    monkeypatch.setitem(formats.MIGRATIONS, (Kind.CARD, 2), marked)


def silent(_done, _total):
    pass


def test_a_workspace_of_today_has_nothing_to_migrate(at):
    ref = made(at, Kind.CARD)
    Ledger(at).start_run("r", "n", {}, 1.0)
    before = manifest_of(at, ref)
    assert not outdated(at)
    assert migrate(at, silent) == Outdated((), ledger=False)
    assert manifest_of(at, ref) == before


def test_an_artefact_of_an_older_format_is_refused_with_what_to_do_and_then_migrated(
    at, monkeypatch
):
    card, other = made(at, Kind.CARD), made(at, Kind.REPORT)
    raised(monkeypatch)
    with pytest.raises(WorkspaceError, match=r"format 1, .* reads 2.*signetflow migrate"):
        problems(at, card)
    assert outdated(at).artefacts == (card,)
    heard = []
    assert migrate(at, lambda *words: heard.append(words)).artefacts == (card,)
    assert heard == [(0, 1)]
    # The same digest: everything that refers to it still does.
    assert (opened(at, card) / "deep" / "a.txt").read_text() == "OLD"
    assert (format_of(at, card), format_of(at, other)) == (2, 1)
    assert problems(at, card, thorough=True) == []
    assert not outdated(at)
    assert sorted(path.name for path in (at.root / Kind.CARD).iterdir()) == [card.digest]


def test_every_step_on_the_way_is_taken_in_order(at, monkeypatch):
    ref = made(at, Kind.CARD)
    raised(monkeypatch, to=3)
    migrate(at, silent)
    assert (opened(at, ref) / "deep" / "a.txt").read_text() == "OLD!"


def test_an_artefact_so_old_that_no_way_leads_on_stays_as_it_was(at, monkeypatch):
    ref = made(at, Kind.CARD)
    monkeypatch.setitem(formats.CURRENT, Kind.CARD, 2)
    with pytest.raises(WorkspaceError, match="knows no way from there to format 2"):
        migrate(at, silent)
    assert (at.path(ref) / "deep" / "a.txt").read_text() == "old"
    monkeypatch.setitem(formats.CURRENT, Kind.CARD, 1)
    assert problems(at, ref, thorough=True) == []


def test_nothing_is_migrated_while_somebody_works(at, monkeypatch):
    made(at, Kind.CARD)
    raised(monkeypatch)
    with shared(at), pytest.raises(WorkspaceError, match="needs it alone"):
        migrate(at, silent)


def test_a_file_that_another_artefact_shares_is_not_changed_in_that(at, monkeypatch):
    card = made(at, Kind.CARD)
    with draft(at, Kind.LABELS) as work:
        os.link(at.path(card) / "deep" / "a.txt", work.path / "a.txt")
        labels = commit(at, Kind.LABELS, work)
    raised(monkeypatch)
    migrate(at, silent)
    assert problems(at, labels, thorough=True) == []


DYING = """
import itertools, os, shutil, sys
from pathlib import Path
from storage import artefacts, formats, migration
from storage.layout import Kind, Workspace

def louder(folder):
    path = folder / "deep" / "a.txt"
    path.write_text(path.read_text().upper())

formats.CURRENT[Kind.CARD] = 2
formats.MIGRATIONS[Kind.CARD, 1] = louder
limit, steps = int(sys.argv[2]), itertools.count()

def dying(function):
    def wrapped(*words, **named):
        if next(steps) == limit:
            os._exit(137)
        return function(*words, **named)
    return wrapped

for owner, name in ((Path, "rename"), (shutil, "rmtree"), (shutil, "copytree"),
                    (Path, "write_text"), (artefacts, "sync")):
    setattr(owner, name, dying(getattr(owner, name)))
migration.migrate(Workspace(Path(sys.argv[1])), lambda *_: None)
"""


def test_a_kill_between_any_two_steps_leaves_the_old_or_the_new_and_it_goes_on(
    tmp_path, monkeypatch
):
    first = Workspace(tmp_path / "first")
    ref = made(first, Kind.CARD)
    codes = []
    for limit in range(30):
        at = Workspace(tmp_path / str(limit))
        shutil.copytree(first.root, at.root)
        command = [sys.executable, "-c", DYING, str(at.root), str(limit)]
        codes.append(subprocess.run(command, check=False).returncode)
        with monkeypatch.context() as patch:
            raised(patch)
            migrate(at, silent)
            assert (opened(at, ref) / "deep" / "a.txt").read_text() == "OLD"
            assert problems(at, ref, thorough=True) == []
            assert [path.name for path in (at.root / Kind.CARD).iterdir()] == [ref.digest]
        if codes[-1] == 0:
            break
    assert codes[-1] == 0
    assert len(codes) > 6
    assert set(codes[:-1]) == {KILLED}


def test_a_ledger_of_an_older_format_is_refused_with_what_to_do_and_then_migrated(at, monkeypatch):
    Ledger(at).start_run("r", "n", {}, 1.0)
    monkeypatch.setattr(ledger, "SCHEMA_VERSION", 3)
    monkeypatch.setitem(ledger.MIGRATIONS, 1, "ALTER TABLE runs ADD COLUMN host TEXT")
    monkeypatch.setitem(ledger.MIGRATIONS, 2, "UPDATE runs SET host = 'here'")
    with pytest.raises(WorkspaceError, match=r"ledger format 1, .* reads 3.*signetflow migrate"):
        Ledger(at).runs()
    assert migrate(at, silent) == Outdated((), ledger=True)
    assert [run.run_id for run in Ledger(at).runs()] == ["r"]
    with sqlite3.connect(Ledger(at).path) as connection:
        assert connection.execute("SELECT host FROM runs").fetchall() == [("here",)]
    connection.close()


def test_a_step_of_the_ledger_that_fails_changes_nothing(at, monkeypatch):
    Ledger(at).start_run("r", "n", {}, 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "SCHEMA_VERSION", 2)
        patch.setitem(ledger.MIGRATIONS, 1, "UPDATE runs SET name = 'new'; SELECT nothing")
        with pytest.raises(WorkspaceError, match="the ledger refused"):
            migrate(at, silent)
    assert [run.name for run in Ledger(at).runs()] == ["n"]


def test_a_newer_format_is_refused_by_name(at):
    ref = made(at, Kind.CARD)
    path = at.path(ref) / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    with pytest.raises(WorkspaceError, match=r"format 99.*newer signetflow"):
        migrate(at, silent)
