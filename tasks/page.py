"""What the report page shows, gathered from the artefacts of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.metrics.settings import EvaluationSettings
    from storage.report.model import ArmRow, ReportData
    from tasks.report import ReportInputs
    from tasks.stage import Work


def report_data(
    work: Work,
    inputs: ReportInputs,
    rows: list[ArmRow],
    evaluation: EvaluationSettings,
    settings: dict[str, Any],
) -> ReportData:
    """Return everything that the page shows."""
    from storage.report.model import ReportData

    return ReportData(
        title=settings["name"], command="signetflow run config.json", created="", summary=(),
        rows=tuple(rows),
    )  # fmt: skip
