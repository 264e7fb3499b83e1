"""What a run would do, and where its report is found: the ledger alone knows."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.layout import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.config import RetrainConfig
    from storage.layout import Ref, Workspace
    from tasks.stage import Run, StageCall


@dataclass(frozen=True, slots=True)
class Plan:
    """The stages of a run as the ledger knows them."""

    run_id: str
    calls: list[StageCall]
    report: Ref | None
    """The report, when nothing is left to do: no stage, and no word of how the run ended."""

    @property
    def pending(self) -> list[StageCall]:
        """Return the stages that are still to be done; rounds that may stop early are counted."""
        return [call for call in self.calls if not call.done]


def plan_of(config: RetrainConfig, at: Workspace) -> Plan:
    """Return what a run would do; nothing is made, and neither torch nor a server starts."""
    from flows.stages import Conductor, open_run
    from tasks.stage import is_pending

    run = open_run(config, at, planning=True)
    report = Conductor(run, config).report()
    is_made = not is_pending(report) and all(call.done for call in run.calls)
    is_over = is_made and _is_written_down(run, report)
    return Plan(run.run_id, run.calls, report if is_over else None)


def verified(config: RetrainConfig, at: Workspace, advance: Callable[[int, int], None]) -> Plan:
    """Return what a run would do once every byte of what it made before was read.

    What is not as it was written is pending then, and for later plans and runs as well.

    Raises
    ------
    IntegrityError
        If the dataset itself was altered: no stage can make it again.
    """
    from storage.artefacts import distrust, opened, problems
    from storage.datasets.registered import latest

    refs = {call.ref for call in plan_of(config, at).calls if call.ref is not None}
    dataset = latest(at, config.dataset)
    every = sorted({*refs, dataset})
    for done, ref in enumerate(every):
        advance(done, len(every))
        if problems(at, ref, thorough=True):
            distrust(at, ref)
    opened(at, dataset)
    return plan_of(config, at)


def _is_written_down(run: Run, report: Ref) -> bool:
    """Return whether the ledger knows how the run ended: a kill may have come before that."""
    known = (one for one in run.ledger.runs() if one.run_id == run.run_id)
    return any(one.state == "completed" and one.result == report for one in known)


def link_report(at: Workspace, run_id: str, report: Ref) -> None:
    """Let ``reports/<run>`` point to the run's latest report."""
    link = at.root / Kind.REPORT / run_id
    fresh = link.with_name(f".{run_id}-{uuid.uuid4().hex}.new")
    fresh.symlink_to(report.digest)
    fresh.replace(link)
