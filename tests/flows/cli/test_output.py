import io
import json
import sys

import pytest

from flows.cli import main, output
from flows.cli.output import note, progress, report_error, say, table, write_json


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_json_is_one_object_in_which_nothing_is_infinite(capsys):
    write_json({"a": float("nan"), "b": [float("inf"), 1.5, (2, float("-inf"))], "c": {"d": None}})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": None, "b": [None, 1.5, [2, None]], "c": {"d": None}}
    assert "NaN" not in out
    assert "Infinity" not in out


def test_lines_for_people_go_to_stdout_and_notes_to_stderr(capsys):
    say("result")
    note("by the way")
    assert capsys.readouterr() == ("result\n", "by the way\n")


def test_names_with_square_brackets_are_printed_as_they_are(capsys):
    table("run [bold]x[/bold]", ["[red]slide"], [["a[/]b.svs"], ["[link=x]"]])
    out = capsys.readouterr().out
    for text in ("run [bold]x[/bold]", "[red]slide", "a[/]b.svs", "[link=x]"):
        assert text in out


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, å and 細胞, also here", "plain, å and 細胞, also here"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("a\x1b[31mred\x07\r.png", r"a\x1b[31mred\x07\r.png"),
        ("gnp.\u202etxt", r"gnp.\u202etxt"),
        ("no \udcff character", r"no \udcff character"),
    ],
)
def test_what_would_steer_a_terminal_is_printed_as_escapes(capsys, text, shown):
    say(text)
    note(text)
    assert capsys.readouterr() == (f"{shown}\n", f"{shown}\n")
    table(text, ["a"], [[text.replace("\n", " ").replace("\t", " ")]])
    assert "\x1b" not in capsys.readouterr().out


def test_a_table_in_a_pipe_is_not_cut_off(capsys):
    long = "x" * 300
    table("t", ["a", "b"], [[long, long]])
    row = next(line for line in capsys.readouterr().out.splitlines() if "x" in line)
    assert row.count("x") == 600


def test_a_table_on_a_terminal_fits_it(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    table("t", ["a", "b"], [["x" * 300, "y"]])
    lines = terminal.getvalue().splitlines()
    assert max(map(len, lines)) < 200


def test_progress_is_silent_without_a_terminal(capsys):
    with progress("reading") as advance:
        advance(1, 2)
    assert capsys.readouterr() == ("", "")


def test_progress_on_a_terminal_counts(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress("reading slides") as advance:
        advance(1, 4)
        advance(4, 4)
    assert "reading slides" in terminal.getvalue()
    assert "4/4" in terminal.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_an_error_goes_to_stderr_whatever_is_asked(capsys, as_json):
    assert report_error(ValueError(""), 1, as_json=as_json) == 1
    out, err = capsys.readouterr()
    assert err.startswith("error: ValueError: ValueError")
    assert bool(out) is as_json
    assert output.INTERRUPTED == 130


def test_a_command_without_its_words_shows_help_and_no_error(capsys):
    assert main(["labels"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Usage:")
    assert "error:" not in shown
