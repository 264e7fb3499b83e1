"""What `run`, `plan` and `demo` share: asking the ledger first, then going through the stages."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows.cli.output import note, progress, table
from flows.planning import Plan, link_report, plan_of, verified
from storage.layout import Kind, Ref, Workspace, default_root
from storage.locks import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flows.config import RetrainConfig

    Row = dict[str, Any]


def workspace_at(folder: Path | None) -> Workspace:
    """Return the workspace that a command uses."""
    return Workspace(folder or default_root())


def execute(
    config: RetrainConfig, at: Workspace, *, verify: bool = False
) -> tuple[Plan, Ref, bool]:
    """Run or resume a configuration; return its plan, its report and whether it was there already.

    `verify` reads every byte of what was made before, instead of sizes and times.

    Raises
    ------
    SignetflowError
        Whatever a stage refuses.
    """
    from flows.news import deliver_news, warn_of
    from flows.stages import open_run
    from tasks.track import Tracker

    at.require_writable()
    with shared(at):
        plan = _verified(config, at) if verify else plan_of(config, at)
        if plan.report:
            link_report(at, plan.run_id, plan.report)
            Tracker(open_run(config, at)).deliver()  # what MLflow could not be told before
            warn_of(deliver_news(at))
    return plan, plan.report or _made(config, at, plan), plan.report is not None


def _verified(config: RetrainConfig, at: Workspace) -> Plan:
    with progress("verifying") as advance:
        return verified(config, at, advance)


def _made(config: RetrainConfig, at: Workspace, plan: Plan) -> Ref:
    """Go through the stages and return the report."""

    def made() -> str:
        from flows.retrain import retrain

        report: str = retrain(config, at.root)
        return report

    kind, digest = in_flow(at, plan, made).split("/")
    return Ref(Kind(kind), digest)


def in_flow(at: Workspace, plan: Plan, flow: Callable[[], str]) -> str:
    """Return what a flow returns, with a Prefect server to show it and progress on the way."""
    from flows.server import prefect_server

    with prefect_server(at), _watched(plan):
        return flow()


@contextmanager
def _watched(plan: Plan) -> Iterator[None]:
    """Show how far the run is: a bar with ETA on a terminal, else a line per finished stage."""
    from tasks.stage import observer

    watcher = _Bar(plan) if sys.stderr.isatty() else _Lines(len(plan.pending))
    token = observer.set(watcher)
    try:
        with watcher:
            yield
    finally:
        observer.reset(token)


@dataclass(slots=True)
class _Lines:
    """One line for each stage that was made."""

    n_stages: int
    started: float = field(default_factory=time.monotonic)
    done: int = 0

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End."""

    def __call__(self, label: str, state: str, done: int, total: int) -> None:
        """Tell of a stage that is finished."""
        del done, total
        if state in {"completed", "failed"}:
            self.done += 1
            elapsed = time.monotonic() - self.started
            note(f"{elapsed:7.1f} s  {self.done:3d}/{self.n_stages}  {label}: {state}")
        elif state == "waiting":
            note(f"{label}: another run makes it just now; waiting for that")


class _Bar:
    """A progress bar over the seconds that stages are expected to take."""

    def __init__(self, plan: Plan) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.n_done, self.n_stages = 0, len(plan.pending)
        self.bar = Progress(
            TextColumn("{task.fields[stages]}"), BarColumn(), TimeRemainingColumn(),
            TextColumn("{task.description}"), console=Console(file=sys.stderr), transient=True,
        )  # fmt: skip
        self.task = self.bar.add_task("starting", total=self.n_stages, stages="")

    def __enter__(self) -> None:
        """Show the bar."""
        self.bar.start()

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self.bar.stop()

    def __call__(self, label: str, state: str, done: int, total: int) -> None:
        """Move on."""
        if state == "completed":
            self.n_done += 1
        part = done / total if state == "running" and total else 0.0
        self.bar.update(
            self.task, description=label, completed=self.n_done + part,
            stages=f"{self.n_done}/{self.n_stages}",
        )  # fmt: skip


def show_table(rows: list[Row]) -> None:
    """Print the table of a run, complete truth where there is one."""
    truths = {row["truth"] for row in rows}
    shown = "complete" if "complete" in truths else "partial"
    table(
        f"{shown} truth; FROC with its 95 % interval over slides",
        ["arm", "network", "FROC", "interval", "recall", "collective", "FP/image", "steps"],
        [
            [
                row["arm"], row["model"], f"{row['froc']:.3f}", _interval(row),
                f"{row['instance_recall']:.3f}", f"{row['collective_recall']:.3f}",
                f"{row['fps']:.2f}", str(row["n_steps"]),
            ]
            for row in rows
            if row["truth"] == shown
        ],
    )  # fmt: skip


def _interval(row: Row) -> str:
    if row["froc_low"] is None:
        return "-"
    return f"{row['froc_low']:.3f} to {row['froc_high']:.3f}"
