"""How a workspace stands, for the screens and for the monitoring: read, never changed."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from models.errors import IntegrityError, SignetflowError
from storage.champion import standing
from storage.ledger import Ledger
from storage.observed import LOOK_S, disk_of, is_made_now, retrains

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.champion import Standing
    from storage.layout import Workspace
    from storage.ledger import RunRecord, RunStage
    from storage.observed import Disk

_ROUND = re.compile(r" · (\w+) round (\d+)")
"""In the label of a stage; `flows.bench` writes it."""
_SETTINGS_OF = {"self": "self_training", "supervised_longer": "self_training"}
"""Which settings say how many rounds an arm has at most; those of the others are cooperative."""
BUSY = ("running", "waiting")


@dataclass(frozen=True, slots=True)
class Round:
    """The round that a run has come to."""

    arm: str
    number: int
    most: int | None
    """How many there are at most."""

    def __str__(self) -> str:
        return f"{self.arm} round {self.number}" + (f" of {self.most}" if self.most else "")


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How one run stands."""

    record: RunRecord
    state: str
    """completed, failed, running, or stopped: no process is at work on it, and it has not ended."""
    stages: tuple[RunStage, ...]
    alarms: tuple[str, ...]
    n_left: int | None = None
    """How many stages are left at most; None if that cannot be told."""
    eta_s: float | None = None
    """How long they take at most, judged by stages of the same kind; None if nobody knows."""

    @property
    def at_work_on(self) -> str | None:
        """Return the label of the stage that is under way."""
        busy = [one.label for one in self.stages if one.state in BUSY]
        return busy[-1] if busy and self.state == "running" else None

    @property
    def failed(self) -> list[dict[str, str]]:
        """Return the stages that failed, each with why."""
        return [
            {"label": one.label, "message": one.message}
            for one in self.stages
            if one.state == "failed"
        ]

    @property
    def round(self) -> Round | None:
        """Return the round that it has come to; None before the first."""
        found = [_ROUND.search(one.label) for one in self.stages]
        last = next((one for one in reversed(found) if one), None)
        if last is None:
            return None
        settings = self.record.config.get(_SETTINGS_OF.get(last[1], "cooperative"), {})
        return Round(last[1], int(last[2]), settings.get("rounds"))

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        record, come_to = self.record, self.round
        return {
            "run": record.run_id, "name": record.name, "dataset": record.config.get("dataset"),
            "state": self.state, "started": iso(record.started), "finished": iso(record.finished),
            "stages": dict(Counter(one.state for one in self.stages)), "failed": self.failed,
            "message": record.message, "alarms": list(self.alarms),
            "report": str(record.result) if record.result else None,
            "at_work_on": self.at_work_on,
            "round": come_to and {
                "arm": come_to.arm, "number": come_to.number, "most": come_to.most,
            },
            "stages_left": self.n_left, "eta_s": self.eta_s,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """How a workspace stands."""

    at: Workspace
    runs: tuple[RunFacts, ...]
    """The latest first."""
    champion: Standing | None
    events_waiting: int
    """What MLflow has not been told yet."""
    news_waiting: int
    """What people have not been told yet, for Prefect was away."""
    disk: Disk

    def last(self, state: str) -> RunFacts | None:
        """Return the run that came into a state last."""
        ended = [one for one in self.runs if one.state == state and one.record.finished]
        return max(ended, key=lambda one: one.record.finished or 0.0, default=None)


def facts_of(
    at: Workspace,
    *,
    estimate: bool = True,
    count_s: float | None = None,
    n_detailed: int | None = None,
) -> Facts:
    """Return how a workspace stands.

    Parameters
    ----------
    at
        The workspace.
    estimate
        Judge what is left of runs that have not ended.
    count_s
        For how long the files of the workspace are counted.
    n_detailed
        How many of the latest runs have their stages and alarms; None: all.
    """
    ledger = Ledger(at)
    every = ledger.runs()
    detailed = {run.run_id for run in every[:n_detailed]}
    open_ones = {run.run_id for run in every if run.state == "running"}
    known = [
        (run, ledger.stages_of(run.run_id) if run.run_id in detailed | open_ones else ())
        for run in every
    ]
    living = set(_living(at, known))
    runs = [_run_facts(ledger, run, stages, living) for run, stages in known]
    if estimate:
        wanted = [one.record.run_id in detailed and one.state != "completed" for one in runs]
        pairs = zip(runs, wanted, strict=True)
        runs = [_estimated(at, one) if is_wanted else one for one, is_wanted in pairs]
    champion = standing(at, "champion")
    disk = disk_of(at, seconds=LOOK_S if count_s is None else count_s)
    waiting = len(ledger.pending_events()), len(ledger.pending_news())
    return Facts(at, tuple(runs), champion, *waiting, disk)


def iso(seconds: float | None) -> str | None:
    """Return seconds since the epoch as ISO 8601, UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _living(at: Workspace, known: list[tuple[RunRecord, tuple[RunStage, ...]]]) -> Iterator[str]:
    """Yield the runs that a process is at work on.

    Between two stages nothing says whose process it is that retrains: the latest run's, then.
    """
    running = [(run, stages) for run, stages in known if run.state == "running"]
    sure = [
        run.run_id
        for run, stages in running
        if any(one.state in BUSY and is_made_now(at, one.key) for one in stages)
    ]
    yield from sure
    if running and not sure and retrains(at):
        yield running[0][0].run_id


def _run_facts(
    ledger: Ledger, run: RunRecord, stages: tuple[RunStage, ...], living: set[str]
) -> RunFacts:
    stopped = run.state == "running" and run.run_id not in living
    return RunFacts(run, "stopped" if stopped else run.state, stages, _alarms(ledger, run, stages))


def _alarms(ledger: Ledger, run: RunRecord, stages: tuple[RunStage, ...]) -> tuple[str, ...]:
    """Return the alarms of a run: from its report, or from its cards while it has none."""
    from storage.checkpoints import load_card
    from tasks.lineage import alarms_in
    from tasks.report import read_lineage

    if not stages:
        return ()
    try:
        if run.result:
            return tuple(alarms_in(read_lineage(ledger.at, run.result)))
        made = ((one.label, ledger.recorded(one.key)) for one in stages)
        return tuple(
            f"{label}: {alarm}"
            for label, record in made
            if record and record.name == "weigh"
            for alarm in load_card(ledger.at, record.ref)["alarms"]
        )
    except IntegrityError:
        return ()  # what is damaged is named by the next run and by labels verify


def _estimated(at: Workspace, run: RunFacts) -> RunFacts:
    """Return a run with what is left of it, if its configuration still means the same."""
    from flows.config import parse_config
    from flows.planning import plan_of

    try:
        plan = plan_of(parse_config(run.record.config, run.record.run_id), at)
    except SignetflowError:
        return run
    if plan.run_id != run.record.run_id:
        return run
    seconds = [one.seconds for one in plan.pending]
    eta = None if any(math.isnan(one) for one in seconds) else sum(seconds)
    return replace(run, n_left=len(seconds), eta_s=eta)
