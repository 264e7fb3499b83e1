"""What every stage of one trial works on, and how its networks are trained side by side."""

from __future__ import annotations

import contextvars
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from tasks.trial import Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flows.config import Arm, RetrainConfig
    from models.annotations import Role
    from storage.datasets.splits import Part
    from storage.layout import Ref
    from tasks.stage import Run
    from tasks.train import Recipe
    from tasks.trial import Trial

T = TypeVar("T")

SWITCH_S = 0.0005
"""How long a thread may keep the interpreter while another waits. A network's step is hundreds of
short calls; at Python's 5 ms, two networks side by side took a fifth longer."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What every stage of one trial works on."""

    run: Run
    config: RetrainConfig
    trial: Trial
    regions: Ref
    annotated: Ref
    """Label version 0."""
    recipes: dict[str, Recipe] = field(default_factory=dict)
    """By network name."""

    def label(self, arm: Arm, model: str, number: int | None = None) -> str:
        """Return how a stage is called where people look."""
        suffix = "" if number is None else f" round {number}"
        return f"{self.trial} · {model} · {arm}{suffix}"

    def select(self, part: Part, roles: tuple[Role, ...]) -> Selection:
        """Return which regions of the trial a stage sees."""
        return Selection(self.trial, part, roles)

    def each(self, models: Iterable[str], work: Callable[[str], T]) -> dict[str, T]:
        """Return what the work gives for each network, at the same time if the config says so."""
        names = list(models)
        if not self.config.side_by_side or self.run.planning or len(names) == 1:
            return {name: work(name) for name in names}
        sys.setswitchinterval(SWITCH_S)
        with ThreadPoolExecutor(len(names)) as pool:
            # Prefect finds its flow run, and the progress bar its observer, in the context.
            futures = {
                name: pool.submit(contextvars.copy_context().run, work, name) for name in names
            }
            try:
                return {name: future.result() for name, future in futures.items()}
            except BaseException:
                # The pool waits for its threads: Ctrl-C must not wait for a training to end.
                self.run.stopped.set()
                raise
