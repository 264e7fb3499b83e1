"""The command line: ``signetflow`` or ``python -m flows.cli``.

Every module here stays light at import: torch, prefect, zarr and mlflow are imported inside the
functions that need them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import typer

from flows import logs
from flows.cli.output import INTERRUPTED, report_error, report_interrupt
from models.errors import SignetflowError

app = typer.Typer(
    name="signetflow",
    help=(
        "Train cell detectors on incomplete annotations, in rounds. Each round writes a label "
        "version that says which cells came from whom.\n\n"
        "Start with: signetflow demo"
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

COMMANDS = ("demo", "ingest", "run", "plan", "status", "labels", "evaluate", "predict", "report",
            "study", "models", "track", "ops", "migrate", "doctor")  # fmt: skip
"""In the order of `--help`; each is a module of this folder that adds itself with `register`."""

for _name in COMMANDS:
    import_module(f"flows.cli.{_name}").register(app)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 failed, 2 wrong use, 3 refused, 130."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    as_json = "--json" in words
    # Nothing of ours phones home, and servers that we start inherit that.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # numpy's BLAS only meets small matrices here; its threads would wait for each other and for
    # torch's on a busy machine. Read when numpy is imported, which nothing above does.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        logs.set_up()
        result = app(words, standalone_mode=False)
    except SignetflowError as error:
        if debug:
            raise
        return report_error(error, error.exit_code, as_json=as_json)
    except typer_usage_errors() as error:
        return report_error(error, 2, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return report_interrupt(as_json=as_json)
    except Exception as error:  # the last resort: one line, not a page of frames
        if debug:
            raise
        return report_error(error, 1, as_json=as_json)
    if result == INTERRUPTED:  # typer has caught the KeyboardInterrupt
        return report_interrupt(as_json=as_json)
    return result if isinstance(result, int) else 0


def typer_usage_errors() -> tuple[type[Exception], ...]:
    """Return the errors that mean a mistyped command line."""
    from typer import BadParameter

    bases = [base for base in BadParameter.__mro__ if base.__name__ == "ClickException"]
    return tuple(bases)
