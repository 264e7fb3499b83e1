"""``run`` on the small ground, with Prefect left out: the real one is in test_demo.py."""

import io
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

import flows.retrain
import flows.server
from flows.cli import main
from flows.retrain import retrain
from models.errors import StoppedError, WorkspaceError
from storage.layout import Workspace
from storage.ledger import Event, Ledger


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _without_servers(monkeypatch):
    monkeypatch.setattr(flows.server, "prefect_server", lambda _at: nullcontext("nowhere"))
    monkeypatch.setattr(flows.retrain, "retrain", retrain.fn)
    monkeypatch.setattr("storage.tracking.outbox.deliver", _delivered)


def _delivered(at):
    from storage.tracking.outbox import Delivery

    events = Ledger(at).pending_events()
    for event in events:
        Ledger(at).mark_delivered(event, 1.0)
    return Delivery(len(events), 0, "")


@pytest.fixture
def run(own_ground, preset, capsys):
    """Return a function that runs the preset and gives exit code, stdout and stderr."""

    def run(*words):
        everything = ["run", str(preset), "--workspace", str(own_ground.at.root), *words]
        return main(everything), *capsys.readouterr()

    return run


def test_a_run_ends_with_the_table_and_where_everything_lies(run, own_ground):
    code, out, err = run()
    assert code == 0
    assert "complete truth; FROC with its 95 % interval over slides" in out
    assert "supervised" in out
    page = next(line for line in out.splitlines() if line.startswith("report: "))
    assert Path(page.removeprefix("report: ")).is_file()
    assert out.splitlines()[-1] == f"labels: signetflow labels log --workspace {own_ground.at.root}"
    stages = [line for line in err.splitlines() if line.endswith(": completed")]
    assert len(stages) == 5
    assert "1/5  hard fold 0 seed 0 · a · supervised" in stages[0]


def test_the_same_again_is_nothing_new(run):
    _, first, _ = run("--json")
    code, second, err = run("--json")
    assert (code, err) == (0, "")
    before, after = json.loads(first), json.loads(second)
    assert (before.pop("nothing_new"), after.pop("nothing_new")) == (False, True)
    assert before == after


def test_a_run_that_was_killed_behind_its_last_stage_is_brought_to_its_end(run, own_ground):
    first = json.loads(run("--json")[1])
    ledger = Ledger(own_ground.at)
    (record,) = ledger.runs()
    ledger.start_run(record.run_id, record.name, record.config, 1.0)  # the end was never written
    second = json.loads(run("--json")[1])
    assert (second["nothing_new"], second["rows"]) == (False, first["rows"])
    (ended,) = ledger.runs()
    assert (ended.state, ended.result) == ("completed", record.result)
    assert {one.state for one in ledger.stages_of(record.run_id)} == {"cached"}
    assert json.loads(run("--json")[1])["nothing_new"] is True


def test_a_bit_that_was_flipped_in_silence_is_found_by_verify_named_and_mended(
    run, own_ground, caplog
):
    run()
    (path,) = (own_ground.at.root / "checkpoints").glob("*/weights.safetensors")
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert json.loads(run("--json")[1])["nothing_new"] is True
    _, out, err = run("--verify", "--json")
    assert json.loads(out)["nothing_new"] is False
    assert f"{path}: its content differs" in caplog.text
    assert "1/1  hard fold 0 seed 0 · a · supervised: completed" in err
    data[-1] ^= 1
    assert path.read_bytes() == data
    assert json.loads(run("--verify", "--json")[1])["nothing_new"] is True


def test_what_tracking_was_not_told_is_told_when_nothing_is_new(run, own_ground):
    run()
    ledger = Ledger(own_ground.at)
    ledger.post(Event("end/late", {"type": "end"}))
    assert json.loads(run("--json")[1])["nothing_new"] is True
    assert ledger.pending_events() == ()


def test_the_link_of_a_run_follows_its_latest_report(run, own_ground):
    answer = json.loads(run("--json")[1])
    link = own_ground.at.root / "reports" / answer["run"]
    assert link.is_symlink()
    assert not link.readlink().is_absolute()  # so that the workspace can move
    link.unlink()
    run()
    assert (link / "report.html").is_file()


def test_a_terminal_sees_a_bar(run, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    code, _, _ = run()
    assert code == 0
    assert "5/5" in terminal.getvalue()


def test_a_failure_is_one_line_and_the_next_run_goes_on(run, own_ground, monkeypatch):
    from tasks.stage import Work

    def stop(_self, done, total):
        if done == 3:
            raise StoppedError("somebody pulled the plug")

    with monkeypatch.context() as patch:
        patch.setattr(Work, "progress", stop)
        code, out, err = run("--json")
    assert code == 1
    assert json.loads(out)["error"]["message"] == "somebody pulled the plug"
    assert err.splitlines()[-1] == "error: somebody pulled the plug"
    (record,) = Ledger(own_ground.at).runs()
    assert (record.state, record.message) == ("failed", "somebody pulled the plug")
    assert run()[0] == 0
    assert Ledger(own_ground.at).runs()[0].state == "completed"


BAD = [
    ("self_training.threshold=7", "ConfigError", ("self_training.threshold", "less than 1", "7")),
    ("training.epoch=3", "ConfigError", ("training.epoch", "is not a setting")),
    ("dataset=none", "NotFoundError", ("'none'", "there are ground")),
    ("folds=[7]", "ConfigError", ("folds.0", "less than 3", "got 7")),
]


@pytest.mark.parametrize(("change", "type_", "told"), BAD)
def test_bad_input_is_refused_and_the_workspace_is_as_it_was(
    run, own_ground, snapshot, change, type_, told
):
    before = snapshot(own_ground.at.root)
    code, out, err = run("--set", change, "--json")
    error = json.loads(out)["error"]
    assert (code, error["exit_code"], error["type"]) == (2, 2, type_)
    assert all(word in error["message"] for word in told)
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) <= 2
    assert snapshot(own_ground.at.root) == before


def test_a_preset_with_an_unknown_key_is_refused(own_ground, preset, capsys, snapshot):
    content = yaml.safe_load(preset.read_text()) | {"treshold": 0.7}
    preset.write_text(yaml.safe_dump(content))
    before = snapshot(own_ground.at.root)
    assert main(["run", str(preset), "--workspace", str(own_ground.at.root)]) == 2
    assert "treshold is not a setting; check its spelling" in capsys.readouterr().err
    assert snapshot(own_ground.at.root) == before


def test_a_read_only_workspace_is_refused_and_as_it_was(run, own_ground, snapshot, monkeypatch):
    before = snapshot(own_ground.at.root)

    def refuse(self):
        raise WorkspaceError(f"{self.root}: the workspace cannot be written (Read-only)")

    monkeypatch.setattr(Workspace, "require_writable", refuse)
    code, out, err = run("--json")
    assert code == 1
    assert json.loads(out)["error"]["type"] == "WorkspaceError"
    assert "cannot be written" in err
    assert snapshot(own_ground.at.root) == before


@pytest.mark.parametrize("command", [("run", "tiny"), ("demo", "--size", "tiny")])
def test_a_workspace_that_cannot_be_made_is_refused(tmp_path, capsys, command):
    (tmp_path / "file").write_text("mine")
    code = main([*command, "--workspace", str(tmp_path / "file" / "below"), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (code, answer["error"]["type"]) == (1, "WorkspaceError")
    assert "Not a directory" in answer["error"]["message"]
    assert "--workspace" in answer["error"]["message"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_file_is_no_workspace(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert main(["run", "tiny", "--workspace", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err
