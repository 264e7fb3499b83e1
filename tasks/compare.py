"""A study: every arm over all folds together, beside its control and beside a paper's table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from models.annotations import Role
from storage.artefacts import commit, draft, opened
from storage.layout import Kind, Ref, Workspace
from tasks.pooled_arms import compared_rows
from tasks.provenance import flat, versions
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.metrics.settings import EvaluationSettings
    from storage.regions import RegionInfo
    from storage.report.comparison import Paper
    from tasks.report import ReportInputs

STUDY = "study.json"
PAGE = "study.html"


@stage(name="compare", version=1, makes=Kind.REPORT)
def compare(
    work: Work,
    *,
    inputs: ReportInputs,
    evaluation: EvaluationSettings,
    paper: Paper,
    left_out: tuple[str, ...],
    settings: str,
) -> Ref:
    """Write the table of a study and its page.

    `left_out` says which of the paper's arms the dataset cannot have; `settings` is the whole
    configuration as canonical JSON, to be shown.
    """
    from storage.report.comparison import Comparison
    from storage.report.study import build_study_page, public

    asked = json.loads(settings)
    made_up = is_made_up(work.at, inputs.dataset)
    rows = compared_rows(work.at, inputs, evaluation, work.progress)
    compared = Comparison(
        paper=paper,
        rows=tuple(rows),
        data=dataset_beside(work.at, inputs),
        made_up=made_up,
        n_seeds=len({one.trial.seed for one in inputs.arms}),
        confidence=evaluation.confidence,
        bootstrap=evaluation.bootstrap,
        created=datetime.now(UTC).strftime("Made on %Y-%m-%d at %H:%M UTC"),
        command=_command(paper.study, asked, made_up=made_up),
        settings=flat(asked),
        versions=versions(),
        left_out=left_out,
    )
    with draft(work.at, Kind.REPORT) as artefact:
        content = json.dumps(public(compared), indent=1, allow_nan=False)
        (artefact.path / STUDY).write_text(content)
        (artefact.path / PAGE).write_text(build_study_page(compared), encoding="utf-8")
        return commit(work.at, Kind.REPORT, artefact)


def read_study(at: Workspace, ref: Ref) -> dict[str, Any]:
    """Return what `compare` wrote, as plain data."""
    content: dict[str, Any] = json.loads((opened(at, ref) / STUDY).read_text())
    return content


def _command(study: str, asked: dict[str, Any], *, made_up: bool) -> str:
    if not made_up:
        return f"signetflow study {study} --dataset {asked['dataset']}"
    tiny = " --size tiny" if "-tiny-" in asked["dataset"] else ""
    return f"signetflow study {study} --seed {asked['seeds'][0]}{tiny}"


def is_made_up(at: Workspace, dataset: Ref) -> bool:
    """Return whether some of a dataset's slides were drawn by signetflow."""
    from storage.datasets.registered import open_catalogue
    from storage.datasets.synthetic.settings import MADE_UP

    items = open_catalogue(at, dataset).items
    return any(dict(item.attributes).items() >= MADE_UP.items() for item in items)


def dataset_beside(at: Workspace, inputs: ReportInputs) -> dict[str, str]:
    """Return how large a dataset is, in the words of `Paper.data`."""
    from storage.datasets.registered import open_catalogue
    from storage.regions import open_regions

    known, source = open_catalogue(at, inputs.dataset), open_regions(at, inputs.regions)
    marked = sum(len(source.annotations(info.region_id)) for info in source.infos)
    organs = {info.attributes.get("organ") for info in source.infos} - {None}
    return {
        "name": known.name,
        **{f"{role.value} regions": _regions(source.infos, role) for role in Role},
        "cells that a person marked": f"{marked:,}",
        "organs": f"{len(organs)}" if organs else "not stated",
        "kept together in hard folds": " or ".join(known.group_by),
    }


def _regions(infos: Sequence[RegionInfo], role: Role) -> str:
    of_role = [info for info in infos if info.role == role]
    slides = {info.slide for info in of_role}
    return f"{len(of_role):,} of {len(slides):,} slides"
