"""The cards that rounds end with: what each one shows, and which one an arm keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.checkpoints import load_card, save_card
from storage.layout import Kind, Ref
from tasks.stage import Work, stage

if TYPE_CHECKING:
    from models.methods.evidence import Measured
    from models.methods.settings import AlarmSettings
    from storage.detections import StoredDetections
    from tasks.evidence import Round

VALIDATED = ("froc", "froc_low", "froc_high", "recall", "fps")
"""What a training's history says of its kept weights, each as ``validation_<name>``."""
SAME_CELL = 0.3
"""Boxes of two networks that overlap by this IoU are one cell, as in evaluation."""
_OF_LABELS = ("growth", "churn", "relative_area", "n_pseudo", "n_human", "goes_on", "reason")


@stage(name="weigh", version=1, makes=Kind.CARD)
def weigh(
    work: Work,
    *,
    made: Round,
    before: Ref | None,
    seen: tuple[Ref, ...],
    alarm: AlarmSettings,
) -> Ref:
    """Write down what a round shows.

    Parameters
    ----------
    work, made
        The round; number 0 is where the rounds begin.
    before
        The card of the round before, of this arm or of the one that it goes on from.
    seen
        What the two networks of cooperative training found in the same regions, own and other.
    alarm
        When the rounds look like confirmation bias.
    """
    from models.methods.evidence import confirmation_bias

    trained = _validated(load_card(work.at, made.checkpoint))
    earlier = load_card(work.at, before) if before else None
    said = ""
    if earlier:
        said = confirmation_bias(_measured(earlier["validation"]), _measured(trained), alarm)
    labels = load_card(work.at, made.verdict) if made.verdict else {}
    history = [*(earlier["fps_history"] if earlier else ()), trained["fps"]]
    card: dict[str, Any] = {
        "round": made.number,
        "checkpoint": made.checkpoint.digest,
        "verdict": made.verdict.digest if made.verdict else None,
        "labels": {name: labels.get(name) for name in _OF_LABELS} if labels else None,
        "validation": trained,
        "fps_history": history,
        "disagreement": _disagreement(work, seen),
        "alarms": [said] if said else [],
    }
    return save_card(work.at, card)


@stage(name="choose", version=1, makes=Kind.CARD)
def choose(work: Work, *, cards: tuple[Ref, ...], margin: float) -> Ref:
    """Write down which round of an arm is kept, by which card, and every alarm of its rounds."""
    from models.methods.evidence import choose as decide

    read = [load_card(work.at, card) for card in cards]
    choice = decide([_measured(card["validation"]).froc for card in read], margin)
    return save_card(
        work.at,
        {
            "kept": choice.kept,
            "round": read[choice.kept]["round"],
            "reason": choice.reason,
            "decided_by": cards[choice.kept].digest,
            "last": cards[-1].digest,
            "alarms": [
                {"round": card["round"], "alarm": alarm, "card": ref.digest}
                for ref, card in zip(cards, read, strict=True)
                for alarm in card["alarms"]
            ],
        },
    )


def _validated(card: dict[str, Any]) -> dict[str, float | None]:
    """Return what validation said of the weights that a checkpoint kept; None where unknown."""
    kept = card["best_epoch"] or len(card["history"])
    entry = card["history"][kept - 1]
    found = {name: entry.get(f"validation_{name}") for name in VALIDATED}
    if not entry.get("validation_normal_regions"):
        found["fps"] = None  # unmatched cells of incompletely annotated regions may be right
    return found


def _measured(said: dict[str, float | None]) -> Measured:
    from models.methods.evidence import Measured

    values = {name: said.get(name) for name in ("froc", "recall", "fps")}
    return Measured(**{name: math.nan if one is None else one for name, one in values.items()})


def _disagreement(work: Work, seen: tuple[Ref, ...]) -> float | None:
    """Return the share of cells that one network sees and the other does not; None for one."""
    from storage.block_work import hired
    from storage.detections import open_detections

    if len(seen) < 2:
        return None
    own, other = (open_detections(work.at, ref) for ref in seen[:2])
    first, second = own.sent(), other.sent()
    both = single = 0  # in cells
    with hired(work.dask) as workers:
        pairs = (SeenByTwo(first, second, region_id) for region_id in own.regions)
        for _, (shared, rest) in workers.each(compared, pairs):
            both += shared
            single += rest
    return single / (2 * both + single) if both or single else 0.0


@dataclass(frozen=True, slots=True)
class SeenByTwo:
    """One region that two networks looked at."""

    own: StoredDetections
    other: StoredDetections
    region_id: str


def compared(seen: SeenByTwo) -> tuple[int, int]:
    """Return how many cells of a region both networks found, and how many only one of them."""
    from models.metrics.matching import match_boxes
    from storage.block_work import require_seen

    require_seen(seen.own.folder, seen.other.folder)
    first, second = seen.own.detections(seen.region_id), seen.other.detections(seen.region_id)
    found = match_boxes(second.boxes, first.boxes, first.scores, SAME_CELL)
    shared = int(np.count_nonzero(found >= 0))
    return shared, len(first.boxes) + len(second.boxes) - 2 * shared
