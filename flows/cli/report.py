"""``signetflow report``: what came out of a run, and where its page lies."""

from __future__ import annotations

from pathlib import Path  # typer reads it at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.output import JsonOption, WorkspaceOption, note, say, table, write_json
from models.errors import NotFoundError, WrongUseError

if TYPE_CHECKING:
    from storage.layout import Ref, Workspace
    from storage.ledger import RunRecord


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("report")(report)


def report(  # one argument per option
    run: Annotated[
        str, typer.Argument(help="First letters of a run id, or latest.", metavar="RUN")
    ] = "latest",
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="Lay this run beside RUN: FROC of each arm that both have."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Copy the page to this file, to send it to someone.")
    ] = None,
    remake: Annotated[
        bool,
        typer.Option(
            "--remake", help="Make page and tables again with this signetflow; trains nothing."
        ),
    ] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the table of a finished run, what it gained, and where its report page lies.

    The page is one file that loads nothing: it can be opened anywhere, printed and sent. Beside it
    lie table.json, gains.json, groups.json (each slide, organ and site) and config.json, with which
    signetflow run has the same run again. docs/reading-the-table.md says how to read it.

    Example: signetflow report latest --output for-a-colleague.html
    """
    from flows.cli.running import workspace_at

    at = workspace_at(workspace)
    found = finished_run(at, run)
    if compare is not None:
        if output or remake or show:
            raise WrongUseError("--compare prints a table; it goes with --json only.")
        _compare(at, found, finished_run(at, compare), as_json=as_json)
        return
    result = _remade(at, found) if remake else _result(found)
    page = _page(at, found, result)
    if output:
        _copy(page, output)
    _show(at, found, result, page, as_json=as_json)
    if show:
        typer.launch(str(page))


def _result(found: RunRecord) -> Ref:
    if found.result is None:
        raise NotFoundError(f"run {found.run_id} has no report: it is {found.state}")
    return found.result


def _remade(at: Workspace, found: RunRecord) -> Ref:
    """Make the report again and let the run end with it."""
    from flows.planning import link_report
    from storage.locks import shared
    from tasks.remake import remade
    from tasks.stage import Run

    at.require_writable()
    run = Run(at, found.run_id)
    with shared(at):
        result = remade(run, _result(found))
        ended = found.finished if found.finished is not None else found.started
        run.ledger.finish_run(found.run_id, "completed", ended, result=result)
        link_report(at, found.run_id, result)
    return result


def _page(at: Workspace, found: RunRecord, result: Ref) -> Path:
    """Return the page; under the name of the run where that leads to it."""
    from storage.artefacts import opened
    from tasks.report import PAGE

    page = opened(at, result) / PAGE
    named = at.root / "reports" / found.run_id / PAGE
    return named if named.exists() and named.samefile(page) else page


def _copy(page: Path, output: Path) -> None:
    import shutil

    from models.errors import WorkspaceError

    try:
        shutil.copyfile(page, output)
    except OSError as error:
        raise WorkspaceError(f"--output {output}: cannot be written ({error.strerror}).") from error


def _show(at: Workspace, found: RunRecord, result: Ref, page: Path, *, as_json: bool) -> None:
    from flows.cli.running import show_table
    from tasks.report import read_gains, read_table

    rows, gains = read_table(at, result), read_gains(at, result)
    if as_json:
        known = {"run": found.run_id, "nothing_new": False, "report": str(page)}
        write_json(known | {"rows": rows, "gains": gains})
        return
    show_table(rows)
    _show_gains(gains)
    say(f"report: {page}")
    say(f"labels: signetflow labels log --workspace {at.root}")


def _show_gains(gains: list[dict[str, Any]]) -> None:
    """Print each arm beside its control, complete truth where there is one."""
    truth = "complete" if any(gain["truth"] == "complete" for gain in gains) else "partial"
    shown = [gain for gain in gains if gain["truth"] == truth]
    if not shown:
        return
    table(
        "gain of FROC over the control, all folds and seeds together",
        ["arm", "network", "folds", "gain", "interval", "slides", "so"],
        [
            [
                gain["arm"], gain["model"], gain["mode"], f"{gain['gain']:+.3f}",
                _span(gain["interval"]), str(gain["n_slides"]), gain["verdict"],
            ]
            for gain in shown
        ],
    )  # fmt: skip


def _span(interval: list[float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"


def _compare(at: Workspace, first: RunRecord, second: RunRecord, *, as_json: bool) -> None:
    """Print what both runs have, side by side."""
    from tasks.versus import versus

    rows = versus(at, _result(first), _result(second))
    if as_json:
        write_json({"first": first.run_id, "second": second.run_id, "rows": rows})
        return
    if not rows:
        note("the two runs have no arm, network, fold and seed in common")
        return
    table(
        f"FROC: {first.run_id[:8]} ({first.name}) and {second.run_id[:8]} ({second.name})",
        ["arm", "network", "folds", "seed", "truth", "first", "second", "difference", "interval"],
        [
            [
                row["arm"], row["model"], f"{row['mode']} {row['fold']}", str(row["seed"]),
                row["truth"], f"{row['first']:.3f}", f"{row['second']:.3f}",
                f"{row['difference']:+.3f}",
                _span(None if row["low"] is None else [row["low"], row["high"]]),
            ]
            for row in rows
        ],
    )  # fmt: skip
    say("An interval needs the same test slides in both runs, six at least.")


def finished_run(at: Workspace, run: str) -> RunRecord:
    """Return the completed run whose id begins so.

    Raises
    ------
    NotFoundError
        If none or several do.
    """
    from storage.ledger import Ledger

    completed = [one for one in Ledger(at).runs() if one.result]
    if run == "latest":
        matching = completed[:1]
    else:
        matching = [one for one in completed if one.run_id.startswith(run)]
    if len(matching) == 1:
        return matching[0]
    known = ", ".join(f"{one.run_id[:8]} ({one.name})" for one in completed) or "none"
    raise NotFoundError(f"{at.root}: {len(matching)} finished runs match {run!r}; known: {known}")
