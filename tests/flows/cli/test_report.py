import html
import json
import shlex
import shutil
from pathlib import Path

import pytest

from flows.cli import main
from storage.layout import Workspace
from storage.ledger import Ledger


def cli(capsys, *words):
    code = main(["report", *map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("digits", [None, 1, 8, 32])
def test_the_latest_or_named_run_shows_its_table(demo, capsys, digits):
    name = () if digits is None else (demo.answer["run"][:digits],)
    code, answer = cli(capsys, *name, "--workspace", demo.at.root)
    assert code == 0
    assert (answer["run"], answer["rows"]) == (demo.answer["run"], demo.rows)
    assert Path(answer["report"]).is_file()


def test_for_people_it_shows_complete_truth_with_intervals(demo, capsys):
    assert main(["report", "--workspace", str(demo.at.root)]) == 0
    out = capsys.readouterr().out
    assert "complete truth; FROC with its 95 % interval over slides" in out
    assert out.count("cooperative") == 4  # in the table, and among the gains
    assert "nothing new" not in out.lower()
    first = demo.rows[0]
    assert f"{first['froc_low']:.3f} to {first['froc_high']:.3f}" in out


def test_gains_stand_beside_the_table_for_people_and_programs(demo, capsys):
    _, answer = cli(capsys, "--workspace", demo.at.root)
    assert {gain["verdict"] for gain in answer["gains"]} == {"cannot be told"}  # two test slides
    assert main(["report", "--workspace", str(demo.at.root)]) == 0
    out = capsys.readouterr().out
    assert "gain of FROC over the control" in out
    assert out.count("cannot be told") == 6


def test_a_report_is_made_again_on_request_and_trains_nothing(demo, capsys, tmp_path):
    at = Workspace(tmp_path / "workspace")
    shutil.copytree(demo.at.root, at.root, symlinks=True)
    (before,) = (one for one in Ledger(at).runs() if one.run_id == demo.answer["run"])
    assert before.result is not None
    page = at.path(before.result) / "report.html"
    page.write_text("harmed")
    code, answer = cli(capsys, "--remake", "--workspace", at.root)
    assert code == 0
    assert answer["rows"] == demo.rows
    assert "What came out" in Path(answer["report"]).read_text()
    (after,) = (one for one in Ledger(at).runs() if one.run_id == demo.answer["run"])
    assert (after.state, after.finished) == ("completed", before.finished)
    assert after.result is not None
    assert Path(answer["report"]).resolve() == at.path(after.result) / "report.html"


def test_the_page_holds_a_command_that_runs_the_same_again(demo):
    from flows.config import load_config, parse_config

    page = html.unescape(Path(demo.answer["report"]).read_text())
    command = next(
        line.split("<code>")[1].split("</code>")[0]
        for line in page.splitlines()
        if "<code>signetflow run tiny" in line
    )
    words = shlex.split(command)
    (run,) = (one for one in Ledger(demo.at).runs() if one.run_id == demo.answer["run"])
    assert load_config(words[2], tuple(words[4::2])) == parse_config(run.config, "ledger")


def test_two_runs_are_laid_beside_each_other(demo, capsys):
    run = demo.answer["run"]
    code, answer = cli(capsys, run, "--compare", run[:8], "--workspace", demo.at.root)
    assert (code, answer["first"], answer["second"]) == (0, run, run)
    assert {row["difference"] for row in answer["rows"]} == {0.0}
    assert main(["report", "--compare", run, "--workspace", str(demo.at.root)]) == 0
    assert "difference" in capsys.readouterr().out


def test_a_comparison_has_no_page(demo, capsys, tmp_path):
    words = ("--compare", "latest", "--output", tmp_path / "x", "--workspace", demo.at.root)
    code, answer = cli(capsys, *words)
    assert (code, answer["error"]["type"]) == (2, "WrongUseError")


def test_a_page_that_cannot_be_copied_is_one_line(demo, capsys, tmp_path):
    target = tmp_path / "no such folder" / "page.html"
    code, answer = cli(capsys, "--output", target, "--workspace", demo.at.root)
    assert (code, answer["error"]["type"]) == (1, "WorkspaceError")
    assert str(target) in answer["error"]["message"]


def test_the_page_is_opened_on_request(demo, capsys, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)
    code, answer = cli(capsys, "--open", "--workspace", demo.at.root)
    assert (code, opened) == (0, [answer["report"]])


def test_the_page_can_be_copied_to_send_it(demo, capsys, tmp_path):
    target = tmp_path / "for a colleague.html"
    assert cli(capsys, "--output", target, "--workspace", demo.at.root)[0] == 0
    assert target.read_bytes() == Path(demo.answer["report"]).read_bytes()


def test_a_run_that_is_not_there_lists_those_that_are(demo, capsys):
    code, answer = cli(capsys, "ffff", "--workspace", demo.at.root)
    assert (code, answer["error"]["type"]) == (2, "NotFoundError")
    assert f"{demo.answer['run'][:8]} (tiny)" in answer["error"]["message"]


def test_a_run_without_a_report_is_not_shown(tmp_path, capsys):
    at = Workspace(tmp_path)
    Ledger(at).start_run("a" * 32, "mine", {}, 0.0)
    code, answer = cli(capsys, "--workspace", at.root)
    assert code == 2
    assert "0 finished runs match 'latest'; known: none" in answer["error"]["message"]
