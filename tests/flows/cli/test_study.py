"""``study``, with Prefect left out but for the last test, which is a study as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest

import flows.retrain
import flows.server
import flows.study
from flows.cli import main
from flows.retrain import retrain
from flows.study import study
from storage.layout import Kind, Workspace


@pytest.fixture(autouse=True)
def _without_servers(monkeypatch):
    monkeypatch.setattr(flows.server, "prefect_server", lambda _at: nullcontext("nowhere"))
    monkeypatch.setattr(flows.study, "retrain", retrain.fn)
    monkeypatch.setattr(flows.study, "study", study.fn)
    monkeypatch.setattr("tasks.track.Tracker.deliver", lambda _: None)


@pytest.fixture
def run(own_ground, preset, capsys):
    """Return a function that runs table 1 on the small ground."""

    def run(*words):
        everything = [
            "study", "table1", "--dataset", "ground", "--preset", str(preset), "--workspace",
            str(own_ground.at.root), "--set", "folds=[0]", "--set", "splits=[hard]", *words,
        ]  # fmt: skip
        return main(everything), *capsys.readouterr()

    return run


def test_a_study_prints_its_table_and_what_to_mind_and_is_not_done_twice(run, own_ground):
    code, out, err = run("--json")
    assert code == 0
    content = json.loads(out)
    assert content["nothing_new"] is False
    assert {(row["mode"], row["arm"], row["model"]) for row in content["rows"]} == {
        ("hard", "supervised", "a")
    }
    last = err.splitlines()[-1]
    assert "table1: lay beside the paper: completed" in last
    done, planned = last.split()[2].split("/")
    assert done == planned
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out.startswith("Nothing new")
    assert "0.325" in out  # what the paper has
    assert "What cannot be concluded:" in out
    page = next(line for line in out.splitlines() if line.startswith("table with intervals: "))
    assert Workspace(own_ground.at.root).root.as_posix() in page


def test_studies_are_listed_and_that_imports_nothing_heavy(capsys):
    assert main(["study", "--list"]) == 0
    assert "table1" in capsys.readouterr().out
    assert main(["study", "--list", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["studies"]] == ["table1"]
    code = (
        "import sys; from flows.cli import main; main(['study', '--list']); "
        "heavy = {'torch', 'zarr', 'prefect', 'mlflow', 'cv2'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("table9",), "there is no study 'table9'"),
        (("table1", "--dataset", "x", "--seed", "1"), "are of made-up slides"),
        (("table1", "--dataset", "x"), "no dataset"),
    ],
)
def test_wrong_use_is_said(words, message, tmp_path, capsys):
    assert main(["study", *words, "--workspace", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.server
def test_a_study_that_was_killed_goes_on_and_ends_once(tmp_path, signetflow):
    words = (
        "study", "table1", "--size", "tiny", "--workspace", tmp_path / "work", "--json",
        "--set", "arms=[supervised]", "--set", "training.epochs=2",
        "--set", "training.steps_per_epoch=3",
    )  # fmt: skip
    with (tmp_path / "log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *map(str, words)],
            start_new_session=True, stdout=log, stderr=log,
        )  # fmt: skip
        while (tmp_path / "log").read_text().count(": completed") < 8:
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
    first = signetflow(*words)
    assert first.returncode == 0, first.stderr
    again = signetflow(*words)
    one, other = json.loads(first.stdout), json.loads(again.stdout)
    assert (one["nothing_new"], other["nothing_new"]) == (False, True)
    assert one["rows"] == other["rows"]
    assert one["made_up"] is True
    assert {(row["mode"], row["n_trials"]) for row in one["rows"]} == {("easy", 3), ("hard", 3)}
    at = Workspace(tmp_path / "work")
    assert len(list((at.root / Kind.CHECKPOINT).glob("[0-9a-f]*"))) == 6 * 2
