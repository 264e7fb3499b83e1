"""Logging as commands set it up; inside a worker's run: tests/flows/test_told.py."""

import json
import os
import subprocess
import sys

import pytest

from flows.cli import main

CODE = """
import logging, sys
from flows import logs
from flows.cli import main
logs.set_up()
logs.set_up()
code = main(["run", "no-such-preset"])
logging.getLogger("tasks.stage").info("made")
logging.getLogger("elsewhere").info("not ours")
logging.getLogger("elsewhere").warning("a warning")
sys.exit(code)
"""


@pytest.fixture(scope="module")
def lines():
    """Return what a command and a log line print on stderr, by the form that was asked for."""
    printed = {}
    for form in ("json", "text", ""):
        done = subprocess.run(
            [sys.executable, "-c", CODE], env={**os.environ, "SIGNETFLOW_LOGS": form},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, "")
        printed[form] = done.stderr.splitlines()
    return printed


def test_as_json_every_line_on_stderr_is_an_object(lines):
    said = [json.loads(line) for line in lines["json"]]
    assert [one["level"] for one in said] == ["error", "info", "warning"]
    assert said[0]["message"].startswith("error: no-such-preset: no such file")
    assert said[1]["message"] == "made"


def test_as_text_our_lines_have_time_and_level(lines):
    assert lines["text"][0].startswith("error: no-such-preset: no such file")
    assert lines["text"][1].endswith("INFO made")
    assert lines["text"][1][:4].isdigit()
    assert lines["text"][2].endswith("WARNING a warning")


def test_unasked_only_warnings_are_seen_as_they_are(lines):
    assert lines[""][1:] == ["a warning"]


def test_another_form_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("SIGNETFLOW_LOGS", "xml")
    assert main(["status"]) == 2
    assert "SIGNETFLOW_LOGS=xml: expected json or text." in capsys.readouterr().err
