"""Kills a run where it is told: a SIGKILL to the whole group of the real command.

A run is watched through its ledger and its drafts. When it seems to be where it is to die it is
frozen (SIGSTOP), looked at once more, and killed only if it really is there: what the tables count
is where runs died, not where they were meant to.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import psutil

from tests.drills.place import TRACKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.drills.place import Made, Moment, Workplace

PATIENCE_S = 300
LONGEST_WAIT_S = {"train": 2.0, "extract": 0.5, "report": 0.5}


@dataclass(frozen=True)
class Target:
    """Where a run is to die."""

    where: str
    is_there: Callable[[Moment], bool]
    is_past: Callable[[Moment], bool]
    delay_s: float = 0.0
    """How long after it came there."""


@dataclass
class Hunt:
    """Kills one run again and again, wherever it is told, and remembers where it died."""

    place: Workplace
    died: Counter[str] = field(default_factory=Counter)
    in_a_row: Counter[str] = field(default_factory=Counter)
    process: subprocess.Popen[str] | None = None
    _last: str = ""

    def kill(self, target: Target) -> bool:
        """Kill the run where it is to die; return False if it got past."""
        process = self.process or self.place.start()
        self.process = process
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None:
            assert time.monotonic() < deadline, self.log
            moment = self.place.moment()
            if target.is_past(moment):
                return False
            if target.is_there(moment):
                time.sleep(target.delay_s)
                os.killpg(process.pid, signal.SIGSTOP)
                if target.is_there(self.place.moment()):
                    self._end(process, target.where)
                    return True
                os.killpg(process.pid, signal.SIGCONT)
            time.sleep(0.001)
        assert process.returncode == 0, self.log
        self.process = None
        return False

    @property
    def log(self) -> str:
        """Return what the runs have said."""
        return (self.place.at.root / "drill.log").read_text()

    def _end(self, process: subprocess.Popen[str], where: str) -> None:
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        self.process = None
        self.died[where] += 1
        self.in_a_row[where] += self._last == where
        self._last = where

    def inside(self, stage: Made, fraction: float) -> bool:
        """Kill the run inside a stage, after a fraction of the time that it takes."""

        def is_there(now: Moment) -> bool:
            return stage.key in now.held and stage.key not in now.recorded

        # Capped: the run that was timed may have had a busier machine than this one.
        delay_s = fraction * min(stage.seconds, LONGEST_WAIT_S.get(stage.name, 0.05))
        return self.kill(Target(stage.name, is_there, _is_done(stage), delay_s))

    def behind(self, stage: Made) -> bool:
        """Kill the run between a stage and the next."""

        def is_there(now: Moment) -> bool:
            return stage.key in now.recorded and not now.held

        def is_past(now: Moment) -> bool:
            return stage.key in now.recorded and bool(now.held - {stage.key})

        return self.kill(Target(f"behind {stage.name}", is_there, is_past))

    def committing(self, stage: Made) -> bool:
        """Kill the run when the artefact of a stage is written and not visible yet."""

        def is_there(now: Moment) -> bool:
            return stage.key in now.held and stage.ref.kind in now.committing

        return self.kill(Target("commit", is_there, _is_done(stage)))

    def telling(self, stage: Made, delay_s: float) -> bool:
        """Kill the run while it tells MLflow of what it did, a stage at least."""

        def is_there(now: Moment) -> bool:
            return stage.key in now.recorded and TRACKING in now.held

        return self.kill(Target(TRACKING, is_there, lambda _: False, delay_s))

    def anywhere(self, stages: list[Made], delay_s: float) -> bool:
        """Kill the run some time after its regions were cut, wherever it is then."""
        names = {stage.key: stage.name for stage in stages} | {TRACKING: TRACKING}
        self.process = self.place.start()
        first = {stage.key for stage in stages if stage.name in ("extract", "annotate")}
        while not self._is_beyond(first) and self.process.poll() is None:
            time.sleep(0.01)
        time.sleep(delay_s)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGSTOP)
            held = sorted(names[one] for one in self.place.held() if one in names)
            self._end(self.process, " + ".join(held) or "between stages")
            return True
        self.let_go()
        return False

    def _is_beyond(self, keys: set[str]) -> bool:
        now = self.place.moment()
        return keys <= now.recorded and bool(now.held - keys)

    def undo(self, stage: Made) -> None:
        """Take an artefact and its record away, so that the next run makes it again."""
        self.let_go()
        made = {one.key: one.ref for one in self.place.stages()}
        shutil.rmtree(self.place.at.path(made[stage.key]))
        self.place.forget(stage.key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running, whatever went wrong."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def let_go(self) -> None:
        """Let the run that is under way come to its end."""
        if self.process is not None:
            assert self.process.wait(PATIENCE_S) == 0, self.log
            self.process = None


def _is_done(stage: Made) -> Callable[[Moment], bool]:
    return lambda now: stage.key in now.recorded and stage.key not in now.held
