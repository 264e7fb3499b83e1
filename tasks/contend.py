"""Challenger against champion on validation slides that neither learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.errors import LeakError
from storage.checkpoints import load_card, save_card
from storage.datasets.splits import Part
from storage.layout import Kind, Ref
from tasks.evaluate import images_by_truth
from tasks.stage import Work, stage
from tasks.trial import Selection, Trial

if TYPE_CHECKING:
    from models.methods.settings import PromotionSettings
    from models.metrics.settings import EvaluationSettings
    from storage.layout import Workspace
    from storage.regions import Regions


@stage(name="contend", version=1, makes=Kind.CARD)
def contend(
    work: Work,
    *,
    selection: Selection,
    challenger: tuple[Ref, Ref],
    champion: tuple[Ref, Ref],
    evaluation: EvaluationSettings,
    rule: PromotionSettings,
) -> Ref:
    """Compare two checkpoints by partial labels and say whether the first is to follow the second.

    Parameters
    ----------
    work, selection
        The validation part of a trial.
    challenger, champion
        A checkpoint, and what it found in those regions, each.
    evaluation
        How cells are matched, and over how many resamples of the slides.
    rule
        What a challenger must show.

    Raises
    ------
    LeakError
        If the champion learned from a slide of the validation part.
    """
    from models.metrics.detection import difference, evaluate
    from storage.detections import open_detections
    from storage.regions import open_regions

    regions = Ref(Kind.REGIONS, load_card(work.at, challenger[0])["regions"])
    source = open_regions(work.at, regions)
    chosen = selection.of(source)
    require_unseen(work.at, champion[0], {info.group for info in chosen})
    first, second = (
        evaluate(
            images_by_truth(source, open_detections(work.at, found), chosen)["partial"],
            evaluation,
            seed=selection.trial.seed,
        )
        for _, found in (challenger, champion)
    )
    gain = difference(first, second, evaluation, seed=selection.trial.seed)
    promotes, reason = _ruled(gain.froc, gain.interval, rule)
    card: dict[str, Any] = {
        "challenger": challenger[0].digest,
        "champion": champion[0].digest,
        "challenger_froc": first.froc,
        "champion_froc": second.froc,
        "gain": gain.froc,
        "interval": list(gain.interval) if gain.interval else None,
        "confidence": evaluation.confidence,
        "n_slides": len(first.slides),
        "promotes": promotes,
        "reason": reason,
    }
    return save_card(work.at, card)


def require_unseen(at: Workspace, checkpoint: Ref, groups: set[str]) -> None:
    """Prove that a checkpoint learned from none of some groups of slides.

    Raises
    ------
    LeakError
        If it did: it would win by memory.
    """
    from storage.regions import open_regions

    card = load_card(at, checkpoint)
    source: Regions = open_regions(at, Ref(Kind.REGIONS, card["regions"]))
    trial = Trial(card["split"], card["fold"], card["seed"])
    roles = tuple({info.role: None for info in source.infos})
    seen = {info.group for info in Selection(trial, Part.TRAIN, roles).of(source)}
    both = sorted(seen & groups)
    if both:
        raise LeakError(
            f"checkpoint {checkpoint.digest[:8]} learned from {both[0]}, which is to judge it now "
            f"({len(both)} groups in all). Its folds are others: let a person decide, with "
            f"'signetflow models promote'."
        )


def _ruled(
    gain: float, interval: tuple[float, float] | None, rule: PromotionSettings
) -> tuple[bool, str]:
    if interval is None:
        return False, "too few validation slides for an interval: a person must decide"
    low, high = interval
    said = f"validation FROC {gain:+.3f} ({low:+.3f} to {high:+.3f})"
    if low > rule.minimum_gain:
        return True, f"{said}: the whole interval is above {rule.minimum_gain:g}"
    return False, f"{said}: the interval reaches down to {rule.minimum_gain:g} or below"
