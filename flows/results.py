"""What an arm ends with, and the cards that say what its rounds showed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flows.config import Arm
from flows.news import tell_of_round
from storage.checkpoints import load_card
from tasks.evidence import Round
from tasks.stage import Run, is_pending
from tasks.weigh import choose, weigh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.bench import Bench
    from storage.layout import Ref

_ON_ANNOTATED = (Arm.SELF, Arm.SUPERVISED_LONGER)


@dataclass(frozen=True, slots=True)
class ArmResult:
    """What an arm ends with."""

    arm: Arm
    model: str
    rounds: tuple[Round, ...]
    kept: int
    """Index of the round that is kept, by validation against partial labels."""
    n_steps: int
    """Optimiser steps of all its trainings, those of the arms it continues included."""
    verdicts: tuple[Ref, ...] = ()
    """The cards of all rounds, the one that stopped them included."""
    choice: Ref | None = None
    """The card that says which round is kept, and why."""

    @property
    def checkpoint(self) -> Ref:
        """Return the checkpoint of the round that is kept."""
        return self.rounds[self.kept].checkpoint

    @property
    def labels(self) -> Ref:
        """Return the labels that the kept round trained on."""
        return self.rounds[self.kept].labels

    @property
    def as_beginning(self) -> Round:
        """Return the kept round as round 0 of an arm that goes on from here."""
        return Round(
            0, self.labels, self.checkpoint, self.labels, None, self.rounds[self.kept].evidence
        )


def weighed(
    bench: Bench, name: str, made: Round, before: Round | None = None, seen: Sequence[Ref] = ()
) -> Round:
    """Return a round with the card of what it shows."""
    run = bench.run
    card = weigh(
        run,
        name,
        made=made,
        before=before.evidence if before else None,
        seen=tuple(seen),
        alarm=bench.config.alarm,
    )
    if not run.planning:
        tell_of_round(run, bench.config.name, name, card)
    return replace(made, evidence=card)


def result(
    bench: Bench,
    arm: Arm,
    model: str,
    rounds: list[Round],
    start: ArmResult,
    verdicts: tuple[Ref, ...],
) -> ArmResult:
    """Return what an arm ends with; the card of its choice says which round is kept."""
    steps = start.n_steps + sum(steps_of(bench.run, one.checkpoint) for one in rounds)
    config = bench.config
    within = config.self_training if arm in _ON_ANNOTATED else config.cooperative
    cards = tuple(one.evidence for one in rounds if one.evidence)
    name, margin = bench.label(arm, start.model), within.stop.rollback_margin
    choice = choose(bench.run, name, cards=cards, margin=margin)
    kept = len(rounds) - 1 if is_pending(choice) else int(load_card(bench.run.at, choice)["kept"])
    return ArmResult(arm, model, tuple(rounds), kept, steps, verdicts, choice)


def steps_of(run: Run, checkpoint: Ref) -> int:
    """Return how many optimiser steps a training took; a plan knows of none."""
    return 0 if is_pending(checkpoint) else int(load_card(run.at, checkpoint)["n_steps"])
