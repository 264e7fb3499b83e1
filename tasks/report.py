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
    from storage.report.model import ArmRow, Gain
    from tasks.evidence import ArmEvidence
    from tasks.page import Measured

TABLE = "table.json"
PAGE = "report.html"
CONFIG = "config.json"
GAINS = "gains.json"
GROUPS = "groups.json"
ROUNDS = "rounds.png"
LINEAGE, LINEAGE_PAGE = "lineage.json", "lineage.html"


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """All that a report is made of."""

    dataset: Ref
    regions: Ref
    annotated: Ref
    """Label version 0."""
    arms: tuple[ArmEvidence, ...]


@stage(name="report", version=3, makes=Kind.REPORT)
def report(
    work: Work,
    *,
    inputs: ReportInputs,
    evaluation: EvaluationSettings,
    candidate_floor: float,
    settings: str,
    command: str = "",
) -> Ref:
    """Write table, page and settings of a run.

    `settings` is the whole configuration as canonical JSON: it is shown, and kept beside the page.
    `command` says the same by a preset, where one is near.
    """
    from storage.report.lineage import build_lineage_page
    from storage.report.page import build_page
    from storage.report.sheet import contact_sheet
    from tasks.lineage import lineage_of
    from tasks.page import Asked, report_data

    numbers = measured(work.at, inputs, evaluation, candidate_floor)
    data = report_data(work.at, inputs, numbers, Asked(json.loads(settings), evaluation, command))
    with draft(work.at, Kind.REPORT) as artefact:
        tables = {
            TABLE: {"rows": [_public(row) for row in numbers.rows]},
            GAINS: {"gains": [_with_verdict(one, evaluation) for one in numbers.gains.pooled]},
            GROUPS: {"rows": numbers.groups},
            LINEAGE: lineage_of(work.at, inputs),
        }
        for name, content in tables.items():
            (artefact.path / name).write_text(json.dumps(content, indent=1, allow_nan=False))
        (artefact.path / PAGE).write_text(build_page(data), encoding="utf-8")
        picture = contact_sheet(data.crops) if data.crops else None
        if picture:
            (artefact.path / ROUNDS).write_bytes(picture)
        page = build_lineage_page(tables[LINEAGE], picture)
        (artefact.path / LINEAGE_PAGE).write_text(page, encoding="utf-8")
        (artefact.path / CONFIG).write_text(settings)
        return commit(work.at, Kind.REPORT, artefact)


def measured(
    at: Workspace, inputs: ReportInputs, evaluation: EvaluationSettings, candidate_floor: float
) -> Measured:
    """Return the numbers that table and page are made of."""
    from tasks.breakdown import group_rows
    from tasks.gains import gains_of
    from tasks.page import Measured

    rows = tuple(row for arm in inputs.arms for row in _rows(at, arm, candidate_floor))
    return Measured(rows, gains_of(at, inputs, evaluation), group_rows(at, inputs.arms))


def read_table(at: Workspace, ref: Ref) -> list[dict[str, Any]]:
    """Return the rows of a report's table."""
    rows: list[dict[str, Any]] = json.loads((opened(at, ref) / TABLE).read_text())["rows"]
    return rows


def read_lineage(at: Workspace, ref: Ref) -> dict[str, Any]:
    """Return the chains of label versions of a run; none for a report of an older signetflow."""
    path = opened(at, ref) / LINEAGE
    if not path.exists():
        return {"chains": []}
    lineage: dict[str, Any] = json.loads(path.read_text())
    return lineage


def read_gains(at: Workspace, ref: Ref) -> list[dict[str, Any]]:
    """Return each arm beside its control; nothing for a report of an older signetflow."""
    path = opened(at, ref) / GAINS
    if not path.exists():
        return []
    gains: list[dict[str, Any]] = json.loads(path.read_text())["gains"]
    return gains


def _public(row: ArmRow) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name not in _PAGE_ONLY}


def _with_verdict(gain: Gain, settings: EvaluationSettings) -> dict[str, Any]:
    from storage.report.verdicts import verdict_of

    verdict = verdict_of(gain, settings.confidence)
    return asdict(gain) | {"gain": gain.difference, "verdict": verdict.value}


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
            n_slides=result.get("n_slides"),  # older cards do not say it
            **{name: result[name] for name in _MEASURED},
        )
        for truth, result in sorted(results.items())
    ]


_PAGE_ONLY = {"gain_interval", "n_slides"}
_MEASURED = (
    "instance_recall", "collective_recall", "fps", "fps_basis", "froc", "froc_low", "froc_high",
)  # fmt: skip
