"""What an arm leaves behind for the report and for tracking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.layout import Ref
    from tasks.trial import Trial


@dataclass(frozen=True, slots=True)
class RoundEvidence:
    """One round: the labels before and of it, the network trained on them, and the card."""

    number: int
    labels_before: Ref
    labels: Ref
    checkpoint: Ref
    verdict: Ref | None
    """What the labels became; None where they stay."""


@dataclass(frozen=True, slots=True)
class ArmEvidence:
    """One arm of one network in one trial."""

    trial: Trial
    arm: str
    model: str
    rounds: tuple[RoundEvidence, ...]
    kept: int
    """Index of the round whose network is evaluated."""
    n_steps: int
    verdicts: tuple[Ref, ...]
    """The cards of all rounds, also of the one that only stopped them."""
    detections: Ref | None
    """Cells found in the test part; None before the arm is evaluated."""
    evaluation: Ref | None

    @property
    def best(self) -> RoundEvidence:
        """Return the round that is kept."""
        return self.rounds[self.kept]
