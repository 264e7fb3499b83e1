"""A report once more, from what its run left: with the code of now, without any training."""

from __future__ import annotations

import re
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import NotFoundError
from models.metrics.settings import EvaluationSettings
from storage.artefacts import DIGEST_LENGTH
from storage.layout import Kind, Ref
from storage.ledger import StageRecord
from storage.locks import exclusive
from tasks.evidence import ArmEvidence, Round
from tasks.report import ReportInputs, report
from tasks.stage import Run, Work, canonical
from tasks.trial import Trial

if TYPE_CHECKING:
    from storage.layout import Workspace

_Made = TypeVar("_Made", ReportInputs, ArmEvidence, Round)
_REF = re.compile(rf"({'|'.join(Kind)})/([0-9a-f]{{{DIGEST_LENGTH}}})")

LABEL = "write the report again"


def remade(run: Run, known: Ref) -> Ref:
    """Return the report of a run, made again; the ledger knows the new one from now on.

    Raises
    ------
    NotFoundError
        If the ledger does not know what the report was made of.
    IntegrityError
        If an artefact that it was made of is gone or altered.
    """
    arguments = arguments_of(run.at, known)
    key = report.key(arguments)
    with exclusive(run.at.ledger / "locks" / f"{key}.lock"):
        started = time.time()
        ref = report.body(Work(run.at, key, LABEL, run.stopped), **arguments)
        record = StageRecord(key, report.name, LABEL, ref, started, time.time() - started)
        run.ledger.record(record, {name: canonical(value) for name, value in arguments.items()})
    return ref


def arguments_of(at: Workspace, known: Ref) -> dict[str, Any]:
    """Return what a report was made of, as the ledger wrote it down.

    Raises
    ------
    NotFoundError
        If the ledger does not know the report.
    """
    ledger = Run(at, "").ledger
    record = ledger.made(known)
    if record is None:
        raise NotFoundError(
            f"{ledger.path}: no stage is known to have made {known}. signetflow run with the "
            f"config.json beside the page makes it again; what was trained before is reused."
        )
    given = ledger.arguments(record.key)
    words = {name: value for name, value in given.items() if name not in {"inputs", "evaluation"}}
    settings = EvaluationSettings.model_validate(given["evaluation"])
    return {"inputs": _inputs(given["inputs"]), "evaluation": settings, **words}


def _inputs(value: dict[str, Any]) -> ReportInputs:
    return _revived(ReportInputs, value | {"arms": [_arm(one) for one in value["arms"]]})


def _arm(value: dict[str, Any]) -> ArmEvidence:
    rounds = [_revived(Round, one) for one in value["rounds"]]
    return _revived(ArmEvidence, value | {"trial": Trial(**value["trial"]), "rounds": rounds})


def _revived(kind: type[_Made], value: dict[str, Any]) -> _Made:
    """Return a dataclass from its JSON; what an older signetflow did not have is None."""
    return kind(**{one.name: _plain(value.get(one.name)) for one in fields(kind)})


def _plain(value: Any) -> Any:  # noqa: ANN401  # a field of a dataclass
    if isinstance(value, list):
        return tuple(_plain(entry) for entry in value)
    ref = _REF.fullmatch(value) if isinstance(value, str) else None
    return Ref(Kind(ref[1]), ref[2]) if ref else value
