"""Which arms a trial runs and what each stands on: figure 2 of Li et al. 2019, with controls."""

from __future__ import annotations

import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from flows.config import Arm
from flows.rounds import ArmResult, Bench, longer, on_unlabelled, paces, self_training, supervised

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

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
    alone = side_by_side(bench, lambda model: _alone(bench, model, wanted), models)
    made = {results[0].model: {one.arm: one for one in results} for results in alone}
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
        return side_by_side(bench, extra, models)
    if arm is Arm.SELF_LONGER:
        return side_by_side(bench, control, models)
    other = dict(zip(models, reversed(models), strict=True))
    return list(on_unlabelled(bench, arm, refined, teacher_of=other).values())


def side_by_side(bench: Bench, work: Callable[[str], T], models: list[str]) -> list[T]:
    """Return what the work gives for each network, at the same time where the config says so."""
    if not bench.config.side_by_side or bench.run.planning or len(models) == 1:
        return [work(model) for model in models]
    with ThreadPoolExecutor(len(models)) as pool:
        # Prefect finds its flow run, and the progress bar its observer, in the context.
        futures = [pool.submit(contextvars.copy_context().run, work, model) for model in models]
        try:
            return [future.result() for future in futures]
        except BaseException:
            # The pool waits for its threads: Ctrl-C must not wait for a training to end.
            bench.run.stopped.set()
            raise
