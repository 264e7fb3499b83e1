"""What a round did to the labels, written down as the card that decides whether rounds go on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.checkpoints import save_card
from storage.layout import Kind, Ref
from tasks.relabel import RELABELLED
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from models.methods.rounds import RegionChange
    from models.methods.settings import StopSettings
    from storage.labels.store import LabelVersion


@stage(name="judge", version=1, makes=Kind.CARD)
def judge(
    work: Work,
    *,
    before: Ref,
    after: Ref,
    round_number: int,
    stop: StopSettings,
) -> Ref:
    """Compare two label versions in the regions that the later one relabelled."""
    from models.methods.rounds import judge as decide
    from storage.labels.store import open_version

    old, new = open_version(work.at, before), open_version(work.at, after)
    changes = [_change(old, new, name) for name in new.info.parameters[RELABELLED]]
    verdict = decide(changes, round_number, stop)
    card: dict[str, Any] = {
        "before": before.digest,
        "after": after.digest,
        "round": round_number,
        "growth": _number(verdict.growth),
        "churn": _number(verdict.churn),
        "relative_area": _number(verdict.relative_area),
        "inner_px": sum(change.inner_after for change in changes),
        "n_pseudo_before": sum(change.pseudo_before for change in changes),
        "n_pseudo": sum(len(change.pseudo_areas) for change in changes),
        "n_human": sum(len(change.human_areas) for change in changes),
        "goes_on": verdict.goes_on,
        "reason": verdict.reason,
    }
    return save_card(work.at, card)


def _change(old: LabelVersion, new: LabelVersion, region_id: str) -> RegionChange:
    from models.methods.rounds import LabelledPixels, RegionChange

    after = _pixels(new, region_id)
    records = new.records(region_id)
    known_before = region_id in old.region_ids
    nothing = LabelledPixels(np.zeros_like(after.classes), np.zeros_like(after.cells))
    before = _pixels(old, region_id) if known_before else nothing
    return RegionChange.between(before, after, records.cell_ids[records.is_human])


def _pixels(version: LabelVersion, region_id: str) -> Any:  # noqa: ANN401  # numpy stays lazy
    from models.methods.rounds import LabelledPixels

    classes = np.asarray(version.classes(region_id)[:])
    return LabelledPixels(classes, np.asarray(version.cells(region_id)[:]))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
