"""How a checkpoint becomes champion: by a rule on validation, or by a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.config import Arm
from flows.news import deliver_news, promotion_news, warn_of
from storage.champion import NAMES, Standing, stand, standing
from storage.checkpoints import load_card
from storage.datasets.splits import Part
from storage.ledger import Event, Ledger
from tasks.contend import contend
from tasks.network import DetectorRecipe, DetectorSettings
from tasks.predict import predict
from tasks.stage import Run, is_pending
from tasks.trial import ANNOTATED, Selection

if TYPE_CHECKING:
    from flows.config import RetrainConfig
    from models.runtime_settings import RuntimeSettings
    from storage.layout import Ref, Workspace
    from tasks.evidence import ArmEvidence
    from tasks.report import ReportInputs

RULE = "rule"
"""Who promoted a checkpoint that no person promoted."""
_CHALLENGERS = (Arm.COOPERATIVE, Arm.SELF, Arm.SUPERVISED)


def contended(run: Run, config: RetrainConfig, inputs: ReportInputs) -> None:
    """Let the run's best network challenge the champion, and follow it if the rule says so.

    The challenger is the last arm's network with the higher validation FROC. Without a champion it
    must beat what the run's own baseline can do. The end of a run alone promotes nothing.
    """
    challenger = _challenger(run, inputs.arms)
    champion = standing(run.at, "champion")
    against = champion.ref if champion else _baseline(inputs.arms, challenger)
    checkpoint = challenger.best.checkpoint
    if is_pending(checkpoint) or against in (None, checkpoint):
        return
    selection = Selection(challenger.trial, Part.VALIDATION, ANNOTATED)
    both = {
        ref: predict(
            run,
            f"{ref.digest[:8]} · validation",
            regions=inputs.regions,
            selection=selection,
            checkpoint=ref,
            detector=recipe_of(run.at, ref, config.runtime),
            masks=None,
        )
        for ref in (checkpoint, against)
    }
    card = contend(
        run,
        f"{checkpoint.digest[:8]} against {against.digest[:8]}",
        selection=selection,
        challenger=(checkpoint, both[checkpoint]),
        champion=(against, both[against]),
        evaluation=config.evaluation,
        rule=config.promotion,
    )
    if not run.planning:
        _ruled(run, checkpoint, card)


def _challenger(run: Run, arms: tuple[ArmEvidence, ...]) -> ArmEvidence:
    last = next(arm for arm in _CHALLENGERS if any(one.arm == arm for one in arms))
    rivals = [one for one in arms if one.arm == last]
    return max(rivals, key=lambda one: _validated(run, one))


def _validated(run: Run, arm: ArmEvidence) -> float:
    card = arm.best.evidence
    if card is None or is_pending(card):
        return 0.0
    return load_card(run.at, card)["validation"]["froc"] or 0.0


def _baseline(arms: tuple[ArmEvidence, ...], challenger: ArmEvidence) -> Ref | None:
    for one in arms:
        if one.arm == Arm.SUPERVISED and one.model == challenger.model:
            return one.best.checkpoint
    return None


def recipe_of(at: Workspace, checkpoint: Ref, runtime: RuntimeSettings) -> DetectorRecipe:
    """Return how a stored checkpoint looks at regions, on this machine."""
    from models.networks.settings import NetworkSettings
    from models.runtime import resolve

    card = load_card(at, checkpoint)
    return DetectorRecipe(
        NetworkSettings.model_validate(card["network"]),
        DetectorSettings.model_validate(card["detector"]),
        resolve(runtime),
    )


def _ruled(run: Run, checkpoint: Ref, card: Ref) -> None:
    verdict = load_card(run.at, card)
    tell(run.at, stand(run.at, "challenger", checkpoint, by=RULE, reason=verdict["reason"]))
    if verdict["promotes"]:
        tell(run.at, stand(run.at, "champion", checkpoint, by=RULE, reason=verdict["reason"]))
        warn_of(deliver_news(run.at))


def tell_what_stands(at: Workspace) -> None:
    """Post what a run or a command that was killed had no time to post."""
    for made in (standing(at, name) for name in NAMES):
        if made:
            tell(at, made)


def tell(at: Workspace, made: Standing) -> None:
    """Post a change for MLflow and for people; one that was posted before stays as it is."""
    body = {
        "type": "standing", "name": made.name, "checkpoint": str(made.ref), "by": made.by,
        "reason": made.reason, "at": made.at,
    }  # fmt: skip
    shown = Event(f"standing/{made.name}/{made.at}/{made.checkpoint[:8]}", body)
    Ledger(at).post_once(shown, *promotion_news(at, made))
