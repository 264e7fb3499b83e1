"""What came out: the table, the page, and the settings that made them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from storage.artefacts import commit, draft, opened
from storage.checkpoints import load_card
from storage.layout import Kind, Ref, Workspace
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from models.metrics.settings import EvaluationSettings
    from storage.report.model import ArmRow
    from tasks.evidence import ArmEvidence

TABLE = "table.json"
PAGE = "report.html"
CONFIG = "config.json"
ROUNDS = "rounds.png"


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """All that a report is made of."""

    dataset: Ref
    regions: Ref
    annotated: Ref
    """Label version 0."""
    arms: tuple[ArmEvidence, ...]


@stage(name="report", version=1, makes=Kind.REPORT)
def report(
    work: Work,
    *,
    inputs: ReportInputs,
    evaluation: EvaluationSettings,
    candidate_floor: float,
    settings: str,
) -> Ref:
    """Write table, page and settings of a run.

    `settings` is the whole configuration as canonical JSON: it is shown, and kept beside the page.
    """
    from storage.report.page import build_page
    from storage.report.sheet import contact_sheet
    from tasks.page import Asked, report_data

    rows = [row for arm in inputs.arms for row in _rows(work.at, arm, candidate_floor)]
    data = report_data(work.at, inputs, rows, Asked(json.loads(settings), evaluation))
    with draft(work.at, Kind.REPORT) as artefact:
        table = {"rows": [_public(row) for row in data.rows]}
        (artefact.path / TABLE).write_text(json.dumps(table, indent=1, allow_nan=False))
        (artefact.path / PAGE).write_text(build_page(data), encoding="utf-8")
        if data.crops:
            (artefact.path / ROUNDS).write_bytes(contact_sheet(data.crops))
        (artefact.path / CONFIG).write_text(settings)
        return commit(work.at, Kind.REPORT, artefact)


def read_table(at: Workspace, ref: Ref) -> list[dict[str, Any]]:
    """Return the rows of a report's table."""
    rows: list[dict[str, Any]] = json.loads((opened(at, ref) / TABLE).read_text())["rows"]
    return rows


def _public(row: ArmRow) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name != "gain_interval"}


def _rows(at: Workspace, arm: ArmEvidence, candidate_floor: float) -> list[ArmRow]:
    from storage.report.model import ArmRow

    if arm.evaluation is None:
        raise AssertionError("a report is made of evaluated arms")
    results = load_card(at, arm.evaluation)["results"]
    return [
        ArmRow(
            mode=arm.trial.split,
            fold=arm.trial.fold,
            seed=arm.trial.seed,
            arm=arm.arm,
            model=arm.model,
            truth=truth,
            candidate_floor=candidate_floor,
            n_steps=arm.n_steps,
            label_version=arm.best.labels.digest,
            checkpoint=arm.best.checkpoint.digest,
            **{name: result[name] for name in _MEASURED},
        )
        for truth, result in sorted(results.items())
    ]


_MEASURED = (
    "instance_recall", "collective_recall", "fps", "fps_basis", "froc", "froc_low", "froc_high",
)  # fmt: skip
