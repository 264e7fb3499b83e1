import json
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
    assert out.count("cooperative") == 2
    assert "nothing new" not in out.lower()
    first = demo.rows[0]
    assert f"{first['froc_low']:.3f} to {first['froc_high']:.3f}" in out


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
