"""Which arms a trial runs and what each stands on: figure 2 of Li et al. 2019, with controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.config import Arm
from flows.rounds import longer, on_unlabelled, paces, self_training, supervised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.bench import Bench
    from flows.results import ArmResult

STANDS_ON = {
    Arm.SUPERVISED: (),
    Arm.SUPERVISED_LONGER: (Arm.SUPERVISED, Arm.SELF),
    Arm.SELF: (Arm.SUPERVISED,),
    Arm.SELF_LONGER: (Arm.SELF,),
    Arm.SELF_EXTRA: (Arm.SELF,),
    Arm.COOPERATIVE: (Arm.SELF,),
}
"""What must be trained before an arm can be."""


def needed(wanted: Sequence[Arm]) -> set[Arm]:
    """Return the arms that are wanted and all that they stand on."""
    found: set[Arm] = set()
    waiting = list(wanted)
    while waiting:
        arm = waiting.pop()
        if arm not in found:
            found.add(arm)
            waiting += STANDS_ON[arm]
    return found


def run_arms(bench: Bench, heard: Callable[[ArmResult], None]) -> list[ArmResult]:
    """Train every arm of one trial and return them network by network.

    `heard` is told of each arm when it is done.
    """
    wanted = needed(bench.config.arms)
    models = list(bench.config.networks)
    alone = bench.each(models, lambda model: _alone(bench, model, wanted))
    made = {model: {one.arm: one for one in results} for model, results in alone.items()}
    for results in made.values():
        for one in results.values():
            heard(one)
    for arm in (Arm.SELF_EXTRA, Arm.COOPERATIVE, Arm.SELF_LONGER):
        if arm in wanted:
            for result in _beyond(bench, arm, made):
                made[result.model][arm] = result
                heard(result)
    return [made[model][arm] for model in models for arm in Arm if arm in bench.config.arms]


def _alone(bench: Bench, model: str, wanted: set[Arm]) -> list[ArmResult]:
    """Return the arms in which a network sees annotated regions only."""
    made = [supervised(bench, model)]
    if Arm.SELF in wanted:
        made.append(self_training(bench, model, made[0]))
    if Arm.SUPERVISED_LONGER in wanted:
        paced_by = paces(bench, made[1])
        made.append(longer(bench, Arm.SUPERVISED_LONGER, made[0], paced_by))
    return made


def _beyond(bench: Bench, arm: Arm, made: dict[str, dict[Arm, ArmResult]]) -> list[ArmResult]:
    """Return one of the arms that go on where self-training ended, for each network."""
    models = list(made)
    refined = {model: made[model][Arm.SELF] for model in models}

    def extra(model: str) -> ArmResult:
        start = {model: refined[model]}
        return on_unlabelled(bench, arm, start, teacher_of={model: model})[model]

    def control(model: str) -> ArmResult:
        twin = made[model].get(Arm.COOPERATIVE)
        return longer(bench, arm, refined[model], paces(bench, twin))

    if arm is Arm.SELF_EXTRA:
        return list(bench.each(models, extra).values())
    if arm is Arm.SELF_LONGER:
        return list(bench.each(models, control).values())
    other = dict(zip(models, reversed(models), strict=True))
    return list(on_unlabelled(bench, arm, refined, teacher_of=other).values())
