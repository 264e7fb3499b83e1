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
    from models.methods.rounds import LabelledPixels, RegionChange
    from models.methods.settings import StopSettings
    from storage.labels.region import StoredRegion


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
    from storage.block_work import hired
    from storage.labels.store import open_version

    old, new = open_version(work.at, before), open_version(work.at, after)
    regions = (
        (old.region(name) if name in old.entries else None, new.region(name))
        for name in new.info.parameters[RELABELLED]
    )
    with hired(work.dask) as workers:
        changes = [change for _, change in workers.each(changed, regions)]
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


def changed(versions: tuple[StoredRegion | None, StoredRegion]) -> RegionChange:
    """Return how one region differs between two versions; the first may not have it."""
    from models.methods.rounds import LabelledPixels, RegionChange
    from storage.block_work import require_seen
    from storage.labels.room import room_for

    old, new = versions
    require_seen(new.folder)
    with room_for(new.classes().shape):
        after, records = _pixels(new), new.records()
        nothing = LabelledPixels(np.zeros_like(after.classes), np.zeros_like(after.cells))
        before = _pixels(old) if old else nothing
        return RegionChange.between(before, after, records.cell_ids[records.is_human])


def _pixels(region: StoredRegion) -> LabelledPixels:
    from models.methods.rounds import LabelledPixels

    return LabelledPixels(np.asarray(region.classes()[:]), np.asarray(region.cells()[:]))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
