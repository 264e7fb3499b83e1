"""``signetflow ops metrics``: the figures of a workspace for Prometheus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.output import WorkspaceOption, say


def register(verbs: typer.Typer) -> None:
    """Add the verb."""
    verbs.command("metrics")(metrics)


def metrics(
    to: Annotated[
        Path | None,
        typer.Option(
            envvar="SIGNETFLOW_METRICS",
            help="File to write, whole or not at all, in place of printing.",
            dir_okay=False,
        ),
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Print or write the figures of the workspace in Prometheus' text format.

    With SIGNETFLOW_METRICS naming a file in the folder of node_exporter's textfile collector, every
    retraining writes it at the end of each stage and at its own end; this command, from a timer,
    keeps disk and queue of MLflow fresh while nothing runs.

    Example: signetflow ops metrics --to /var/lib/prometheus/node-exporter/signetflow.prom
    """
    from flows.cli.running import workspace_at
    from flows.gauges import gauges_of
    from storage.exposition import write_exposed

    text = gauges_of(workspace_at(workspace))
    if to is None:
        sys.stdout.write(text)
        return
    write_exposed(to, text)
    say(f"{to}: written")
