"""What an arm leaves behind for the report and for tracking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.layout import Ref
    from tasks.trial import Trial


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one arm: labels, the network trained on them, and what the card said."""

    number: int
    labels: Ref
    checkpoint: Ref
    labels_before: Ref
    verdict: Ref | None = None
    """The card that compares `labels` with `labels_before`; None where labels stay."""
    evidence: Ref | None = None
    """The card of what the round shows, alarms included."""


@dataclass(frozen=True, slots=True)
class ArmEvidence:
    """One arm of one network in one trial."""

    trial: Trial
    arm: str
    model: str
    rounds: tuple[Round, ...]
    kept: int
    """Index of the round whose network is evaluated."""
    n_steps: int
    verdicts: tuple[Ref, ...]
    """The cards of all rounds, also of the one that only stopped them."""
    choice: Ref | None
    """The card that says which round is kept, and why."""
    detections: Ref | None
    """Cells found in the test part; None before the arm is evaluated."""
    evaluation: Ref | None

    @property
    def best(self) -> Round:
        """Return the round that is kept."""
        return self.rounds[self.kept]
