import json

import pytest
import typer

from flows import cli
from flows.cli import main
from flows.cli.output import INTERRUPTED
from models.errors import (
    ConfigError,
    EmptyDatasetError,
    IntegrityError,
    NotFoundError,
    SlideError,
    TrainingError,
    WorkspaceError,
)


@pytest.fixture
def command(monkeypatch):
    """Return a function that adds a command that raises something."""

    def add(error):
        app = typer.Typer(pretty_exceptions_enable=False)

        @app.command("first")
        def first(as_json: bool = typer.Option(False, "--json")):
            if isinstance(error, BaseException):
                raise error
            return error

        app.command("second")(lambda: None)
        monkeypatch.setattr(cli, "app", app)

    return add


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("training.epochs: 0"), 2),
        (NotFoundError("no run"), 2),
        (SlideError("a.svs: no slide"), 3),
        (EmptyDatasetError("nothing"), 3),
        (WorkspaceError("disk full"), 1),
        (IntegrityError("altered"), 1),
        (TrainingError("NaN"), 1),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(command, capsys, error, code):
    command(error)
    assert main(["first"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"error: {error}\n"


def test_as_json_an_error_is_one_object_on_stdout_too(command, capsys):
    command(SlideError("a.svs: no slide"))
    assert main(["first", "--json"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "error": {"type": "SlideError", "message": "a.svs: no slide", "exit_code": 3}
    }
    assert err == "error: a.svs: no slide\n"


def test_an_error_that_nobody_foresaw_is_one_line_with_its_type(command, capsys):
    command(ZeroDivisionError("division by zero"))
    assert main(["first"]) == 1
    err = capsys.readouterr().err
    assert err == (
        "error: ZeroDivisionError: division by zero (run again with --debug for the full trace)\n"
    )


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), SlideError("y")])
def test_debug_shows_the_trace(command, error):
    command(error)
    with pytest.raises(type(error)):
        main(["first", "--debug"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--no-such-option"], "No such option"),
        (["first", "--jsn"], "No such option: --jsn"),
        (["frist"], "frist"),
    ],
)
def test_a_mistyped_command_is_wrong_use(command, capsys, words, message):
    command(None)
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_an_interruption_says_how_to_go_on(command, capsys):
    command(KeyboardInterrupt())
    assert main(["first", "--json"]) == INTERRUPTED == 130
    out, err = capsys.readouterr()
    assert "run the same command again" in err
    assert json.loads(out)["error"]["exit_code"] == 130


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (3, 3)])
def test_what_a_command_returns_is_the_exit_code(command, returned, code):
    command(returned)
    assert main(["first"]) == code


def test_nothing_that_is_started_phones_home(command, monkeypatch):
    names = (
        "DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED", "MLFLOW_DISABLE_TELEMETRY",
    )  # fmt: skip
    for name in names:
        monkeypatch.delenv(name, raising=False)
    command(None)
    main(["first"])
    import os

    assert [os.environ[name] for name in names] == ["1", "false", "true"]


def test_without_words_help_is_shown_as_wrong_use(capsys):
    assert main([]) == 2
    shown = "".join(capsys.readouterr())
    assert "Start with: signetflow demo" in shown
