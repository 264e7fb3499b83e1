"""The figures of a workspace for Prometheus, written at the end of each stage and run."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.facts import facts_of
from models.errors import SignetflowError
from storage.exposition import Gauge, exposed, write_exposed
from storage.labels.schema import read_info
from storage.layout import Kind
from storage.ledger import Ledger
from tasks.stage import observer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flows.facts import Facts, RunFacts
    from storage.layout import Workspace
    from tasks.stage import Observer

FILE = "SIGNETFLOW_METRICS"
"""Names the file; without it none is written."""
EVERY_S = 5.0
"""Stages that are done at once, because they were made before, write the file no more often."""
COUNT_S = 0.2
STATES = ("completed", "failed", "running", "stopped")
ENDS = frozenset({"completed", "cached", "failed"})

logger = logging.getLogger(__name__)


def gauges_of(at: Workspace, *, count_s: float | None = None) -> str:
    """Return the figures of a workspace as text.

    Parameters
    ----------
    at
        The workspace.
    count_s
        For how long its files are counted; by default as for the screens.
    """
    facts = facts_of(at, estimate=False, count_s=count_s, n_detailed=1)
    return exposed(_gauges(facts), {"workspace": str(at.root.absolute())})


def _gauges(facts: Facts) -> Iterator[Gauge]:
    yield _one("written_timestamp_seconds", "When these figures were written.", time.time())
    for state, name in (("completed", "last_success"), ("failed", "last_failure")):
        last = facts.last(state)
        when = (last.record.finished or 0.0) if last else 0.0
        yield _one(f"{name}_timestamp_seconds", f"End of the last run that {state}; 0: none.", when)
    counts = Counter(one.state for one in facts.runs)
    yield _by("runs", "Runs; stopped: killed, and nobody goes on with it.", "state", {
        state: counts[state] for state in STATES
    })  # fmt: skip
    if facts.runs:
        yield from _of_run(facts.at, facts.runs[0])
    yield _one("events_waiting", "What MLflow has not been told yet.", facts.events_waiting)
    yield _one("news_waiting", "What people have not been told yet.", facts.news_waiting)
    yield from _of_disk(facts)
    if facts.champion:
        since = datetime.fromisoformat(facts.champion.at).timestamp()
        labels = {"checkpoint": facts.champion.checkpoint[:12]}
        yield Gauge("champion_since_timestamp_seconds", "Since when it is.", ((labels, since),))
    typical = Ledger(facts.at).typical_seconds()
    yield _by("stage_seconds", "Mean time of finished stages.", "stage", typical)


def _of_run(at: Workspace, run: RunFacts) -> Iterator[Gauge]:
    """Yield the figures of the latest run."""
    name = {"name": run.record.name}
    yield Gauge("run_alarms", "Alarms of the latest run.", ((name, len(run.alarms)),))
    started = "When the latest run was first started."
    yield Gauge("run_started_timestamp_seconds", started, ((name, run.record.started),))
    counts = Counter(one.state for one in run.stages)
    stages = tuple(({**name, "state": state}, n) for state, n in sorted(counts.items()))
    yield Gauge("run_stages", "Stages that the latest run has met.", stages)
    if run.round:
        labels = {**name, "arm": run.round.arm}
        value = ((labels, run.round.number),)
        yield Gauge("run_round", "Round that the latest run has come to.", value)
    cells = tuple(({**name, "origin": origin}, n) for origin, n in _cells(at, run).items())
    yield Gauge("run_label_cells", "Cells in the newest labels of the latest run.", cells)


def _cells(at: Workspace, run: RunFacts) -> Mapping[str, int]:
    ledger = Ledger(at)
    for stage in reversed(run.stages):
        record = ledger.recorded(stage.key) if stage.state in ENDS else None
        if record and record.ref.kind is Kind.LABELS and at.path(record.ref).is_dir():
            return read_info(at.path(record.ref)).n_cells
    return {}


def _of_disk(facts: Facts) -> Iterator[Gauge]:
    yield _one("disk_free_bytes", "Room on the disk of the workspace.", facts.disk.free)
    yield _one("disk_size_bytes", "Size of that disk.", facts.disk.total)
    if facts.disk.used is not None:
        yield _one("workspace_bytes", "What the workspace takes.", facts.disk.used)


def _one(name: str, text: str, value: float) -> Gauge:
    return Gauge(name, text, (({}, value),))


def _by(name: str, text: str, label: str, values: Mapping[str, float]) -> Gauge:
    return Gauge(name, text, tuple(({label: key}, value) for key, value in values.items()))


@contextmanager
def gauged(at: Workspace) -> Iterator[None]:
    """Write the figures while the block goes through stages, and when it ends, however it does."""
    path = os.environ.get(FILE)
    if not path:
        yield
        return
    writer = _Writer(at, Path(path), observer.get(None))
    token = observer.set(writer)
    try:
        yield
    finally:
        observer.reset(token)
        writer.write()


@dataclass(slots=True)
class _Writer:
    """Writes the figures when a stage ends, and tells whoever watched before."""

    at: Workspace
    path: Path
    before: Observer | None
    lock: threading.Lock = field(default_factory=threading.Lock)
    due: float = 0.0

    def __call__(self, label: str, state: str, done: int, total: int) -> None:
        """Hear of a stage."""
        if self.before:
            self.before(label, state, done, total)
        if state in ENDS and time.monotonic() >= self.due:
            self.write()

    def write(self) -> None:
        """Write the figures; that they cannot be written stops no run."""
        with self.lock:
            try:
                write_exposed(self.path, gauges_of(self.at, count_s=COUNT_S))
            except SignetflowError as error:
                logger.warning("%s", error)
            self.due = time.monotonic() + EVERY_S
