"""The last step of a study: what its retraining brought, laid beside the paper's table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.stages import Conductor, open_run
from flows.studies import study_named
from storage.artefacts import canonical_json
from storage.layout import Kind
from tasks.compare import compare
from tasks.stage import pending

if TYPE_CHECKING:
    from flows.config import RetrainConfig
    from storage.layout import Ref, Workspace


def compared(
    name: str,
    config: RetrainConfig,
    at: Workspace,
    left_out: tuple[str, ...] = (),
    *,
    planning: bool = False,
) -> Ref:
    """Return the table of a study; pending when planning and something is not made yet."""
    asked = open_run(config, at, planning=True)
    inputs = Conductor(asked, config).inputs()
    if planning and not all(call.done for call in asked.calls):
        return pending(Kind.REPORT)
    return compare(
        open_run(config, at, planning=planning),
        f"{name}: lay beside the paper",
        inputs=inputs,
        evaluation=config.evaluation,
        paper=study_named(name).paper,
        left_out=left_out,
        settings=canonical_json(config.model_dump(mode="json")),
    )


def link_name(name: str, run_id: str) -> str:
    """Return under which name the latest table of a study lies among the reports."""
    return f"{name}-{run_id}"
