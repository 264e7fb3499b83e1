"""A copy of a workspace that was written to meanwhile, put back, or refused."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import BusyError, IntegrityError, WrongUseError
from storage.artefacts import MANIFEST, problems
from storage.backup import MANIFEST as LIST
from storage.backup import back_up, read_backup
from storage.champion import history, stand
from storage.checkpoints import save_card
from storage.labels.tags import tag, tags
from storage.labels.verify import verify, version_refs
from storage.layout import Kind, Ref, Workspace
from storage.ledger import Ledger, RunStage, StageRecord
from storage.locks import alone
from storage.restore import damage, restore


def quiet(done, total):
    pass


def contents(at):
    """Return every file of the artefacts with its bytes and its time, and where links lead."""
    found: dict[str, object] = {}
    for kind in Kind:
        for path in (at.root / kind).rglob("*"):
            name = str(path.relative_to(at.root))
            if path.is_symlink():
                found[name] = str(path.readlink())
            elif path.is_file() and path.name != ".lock":
                found[name] = (path.read_bytes(), path.stat().st_mtime_ns)
    return found


@pytest.fixture
def saved(own_ground, tmp_path):
    """Return a workspace with its backup, and where it is to be restored."""
    made = back_up(own_ground.at, tmp_path / "saved", {}, quiet)
    return own_ground.at, made, Workspace(tmp_path / "restored")


def test_what_is_put_back_is_what_was_there_to_the_byte_and_the_time(own_ground, tmp_path):
    at, digest = own_ground.at, own_ground.annotated.digest
    Ledger(at).start_run("a" * 32, "mine", {"dataset": "ground"}, 5.0)
    tag(at, "gold", own_ground.annotated)
    (at.root / "reports").mkdir(exist_ok=True)
    (at.root / "reports" / ("a" * 32)).symlink_to("b" * 32)
    twin = at.root / Kind.LABELS / digest
    several = [path for path in twin.rglob("*") if path.is_file()]
    (at.root / "twin").hardlink_to(several[0])
    made = back_up(at, tmp_path / "saved", {}, quiet)
    there = Workspace(tmp_path / "restored")
    restore(read_backup(made.path), there, {}, quiet)
    assert contents(there) == contents(at)
    assert Ledger(there).runs() == Ledger(at).runs()
    assert tags(there) == tags(at)
    name = several[0].relative_to(at.root)
    assert (there.root / "twin").samefile(there.root / name)
    assert verify(there, version_refs(there)).findings == []
    assert made.harm == ()


def test_whatever_a_run_writes_meanwhile_the_copy_refers_to_nothing_that_is_not_in_it(
    own_ground, tmp_path
):
    at, run = own_ground.at, "a" * 32
    Ledger(at).start_run(run, "mine", {}, 5.0)
    made_meanwhile: list[Ref] = []

    def a_stage_ends(done, total):
        if done % 8:
            return
        number = len(made_meanwhile)
        card = save_card(at, {"number": number})
        record = StageRecord(f"k{number}", "weigh", "x", card, 0.0, 1.0)
        Ledger(at).record(record, {})
        Ledger(at).note_stage(run, RunStage("x", "completed", record.key, ""))
        stand(at, "champion", Ref(Kind.CHECKPOINT, f"{number:032x}"), by="ada", reason="x")
        if number % 7 == 0:
            (at.ledger / "unfinished" / "k" / "a").mkdir(parents=True, exist_ok=True)
        made_meanwhile.append(card)

    a_stage_ends(0, 0)
    made = back_up(at, tmp_path / "saved", {}, a_stage_ends)
    there = Workspace(tmp_path / "restored")
    restore(made, there, {}, quiet)
    assert len(made_meanwhile) > 10
    ledger = Ledger(there)
    keys = [stage.key for stage in ledger.stages_of(run)]
    assert keys == ["k0"]  # as the ledger was when the copying began
    for key in keys:
        record = ledger.recorded(key)
        assert record is not None
        assert problems(there, record.ref, thorough=True) == []
    assert len(history(there)) == 1
    assert verify(there, version_refs(there)).findings == []


def test_what_the_ledger_has_not_written_back_yet_is_in_the_copy(own_ground, tmp_path):
    at = own_ground.at
    with closing(sqlite3.connect(Ledger(at).path)) as other:
        other.execute("SELECT * FROM runs").fetchall()  # who looks keeps the log beside the file
        Ledger(at).start_run("a" * 32, "mine", {}, 5.0)
        made = back_up(at, tmp_path / "saved", {}, quiet)
    assert not [name for name in made.files if name.endswith(("-wal", "-shm"))]
    restore(made, Workspace(tmp_path / "restored"), {}, quiet)
    assert [run.name for run in Ledger(Workspace(tmp_path / "restored")).runs()] == ["mine"]


def test_nobody_cleans_meanwhile(own_ground, tmp_path):
    def clean(done, total):
        with pytest.raises(BusyError), alone(own_ground.at):
            pass

    back_up(own_ground.at, tmp_path / "saved", {}, clean)


def test_work_under_way_locks_and_logs_are_left_out(own_ground, tmp_path):
    at = own_ground.at
    for name in ("labels/.draft-1/x", "servers/prefect.log", "ledger/locks/k.lock", "x.lock"):
        (at.root / name).parent.mkdir(parents=True, exist_ok=True)
        (at.root / name).write_text("passing")
    hidden = at.root / Kind.LABELS / own_ground.annotated.digest / ".zattrs"
    hidden.write_text("{}")
    made = back_up(at, tmp_path / "s", {}, quiet)
    names = {name.removeprefix("workspace/") for name in made.files}
    assert not [name for name in names if "passing" in name or ".lock" in name or "draft" in name]
    assert not [name for name in names if name.startswith("servers")]
    assert str(hidden.relative_to(at.root)) in names  # what an artefact has, it keeps
    assert "ledger/ledger.db" in names


def test_a_backup_that_breaks_off_leaves_nothing_and_one_that_was_killed_is_no_hindrance(
    own_ground, tmp_path
):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(own_ground.at, tmp_path / "saved", {}, stop)
    assert not [path for path in tmp_path.iterdir() if "saved" in path.name]
    (tmp_path / ".saved.partial").mkdir()
    (tmp_path / ".saved.partial" / "rest").write_text("")
    made = back_up(own_ground.at, tmp_path / "saved", {}, quiet)
    assert damage(made, quiet) == []
    assert not (tmp_path / ".saved.partial").exists()


def test_a_backup_goes_only_where_nothing_is(own_ground, tmp_path):
    (tmp_path / "full").mkdir()
    with pytest.raises(WrongUseError, match="is there already"):
        back_up(own_ground.at, tmp_path / "full", {}, quiet)
    with pytest.raises(WrongUseError, match="in the workspace itself"):
        back_up(own_ground.at, own_ground.at.root / "saved", {}, quiet)
    with pytest.raises(WrongUseError, match="no workspace"):
        back_up(Workspace(tmp_path / "none"), tmp_path / "saved", {}, quiet)


def test_what_was_damaged_already_is_saved_and_named(own_ground, tmp_path):
    at, ref = own_ground.at, own_ground.annotated
    path = at.path(ref) / "regions.json"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    made = back_up(at, tmp_path / "saved", {}, quiet)
    assert made.harm == (f"{ref}: regions.json is missing or altered",)
    (at.path(ref) / MANIFEST).write_text("nonsense")
    assert back_up(at, tmp_path / "again", {}, quiet).harm == (
        f"{ref}: {MANIFEST} is missing or altered",
    )


def test_nothing_that_is_there_is_overwritten(saved):
    _, made, there = saved
    there.root.mkdir()
    (there.root / "mine").write_text("mine")
    with pytest.raises(WrongUseError, match="something is there already"):
        restore(made, there, {}, quiet)
    assert [path.name for path in there.root.iterdir()] == ["mine"]
    (there.root / "mine").unlink()
    restore(made, there, {}, quiet)  # an empty folder is nothing


@pytest.mark.parametrize("how", ["altered", "missing", "longer"])
def test_a_damaged_backup_restores_nothing(saved, how):
    _, made, there = saved
    path = max((made.path / name for name in made.files), key=lambda one: one.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(content if how == "altered" else content + b"x")
    with pytest.raises(IntegrityError, match=f"{path.name}: missing or altered. Nothing was"):
        restore(made, there, {}, quiet)
    assert not there.root.exists()


def listed(made, **changes):
    """Change what a backup says it holds, as the first backups did: without a digest."""
    text = json.loads((made.path / LIST).read_text()) | changes
    text.pop("digest", None)
    (made.path / LIST).write_text(json.dumps(text))


def test_what_is_no_whole_backup_is_refused(saved, tmp_path):
    _, made, _ = saved
    listed(made, format_version=99, signetflow="7.1")
    with pytest.raises(IntegrityError, match=r"backup format 99.*with the signetflow 7\.1\."):
        read_backup(made.path)
    holds_a_list = json.dumps({"format_version": 1, "files": []})
    for text in ("", "[]", "{}", '{"format_version": 1}', holds_a_list):
        (made.path / LIST).write_text(text)
        with pytest.raises(IntegrityError, match="not finished"):
            read_backup(made.path)
    (made.path / LIST).unlink()
    with pytest.raises(IntegrityError, match="not finished"):
        read_backup(made.path)


@pytest.mark.parametrize(
    ("name", "entry"),
    [("workspace/../../stolen", {"link": "x"}), ("/stolen", {"size": 0, "sha256": ""})],
)
def test_a_name_that_leads_out_of_the_backup_is_refused(saved, tmp_path, name, entry):
    _, made, there = saved
    listed(made, files={name: entry})
    with pytest.raises(IntegrityError, match="leads out of the backup"):
        restore(read_backup(made.path), there, {}, quiet)
    shutil.rmtree(made.path)


def test_a_list_of_contents_that_is_altered_is_refused(saved):
    _, made, there = saved
    (name, *_) = made.files
    text = json.loads((made.path / LIST).read_text())
    del text["files"][name]  # nothing of what is left is missing or altered
    (made.path / LIST).write_text(json.dumps(text))
    with pytest.raises(IntegrityError, match=f"{LIST}: altered. Nothing was restored"):
        read_backup(made.path)
    assert not there.root.exists()


def test_a_backup_without_a_digest_of_its_list_is_read_as_the_first_ones_were(saved):
    _, made, there = saved
    listed(made)
    restore(read_backup(made.path), there, {}, quiet)
    assert there.root.exists()


def test_work_that_ends_while_it_is_listed_is_no_part_of_the_copy(
    own_ground, tmp_path, monkeypatch
):
    unfinished = own_ground.at.ledger / "unfinished" / "k" / "parts"
    unfinished.mkdir(parents=True)
    listing = Path.iterdir

    def ended(self):
        if self == unfinished.parent:
            found = list(listing(self))
            shutil.rmtree(unfinished.parent)
            return iter(found)
        return listing(self)

    monkeypatch.setattr(Path, "iterdir", ended)
    made = back_up(own_ground.at, tmp_path / "saved", {}, quiet)
    assert made.harm == ()
    assert not [name for name in made.files if "unfinished" in name]
