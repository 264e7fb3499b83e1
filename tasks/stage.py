"""One unit of recorded work: the wrapper that every stage of a flow goes through.

A stage takes and returns Refs. Its key is a digest of its name, its version and its arguments; the
ledger says whether that key was done before and the artefact can still be trusted. Prefect shows
and schedules what the ledger does not know yet, and caches nothing itself.
"""

from __future__ import annotations

import contextvars
import dataclasses
import itertools
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from models.errors import SignetflowError, StoppedError, WorkspaceError
from storage.artefacts import digest_of, problems
from storage.checkpoints import UnfinishedWork
from storage.layout import CARD, WITH_CARD, Kind, Ref, Workspace
from storage.ledger import Ledger, RunStage, StageRecord
from storage.locks import exclusive
from storage.logged import about
from storage.parts import Parts

if TYPE_CHECKING:
    from models.runtime_settings import DaskSettings

logger = logging.getLogger(__name__)

Observer = Callable[[str, str, int, int], None]
"""Called with a stage's label, its state, how much of it is done and how much there is."""

observer: contextvars.ContextVar[Observer] = contextvars.ContextVar("observer")
"""Who watches this run: the command line's progress bar, if there is one."""

STAGES: dict[str, Stage] = {}
"""Every stage by name, in order of definition."""

_pending_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class StageCall:
    """One stage as `plan` met it."""

    name: str
    label: str
    key: str
    """Empty when it depends on something that is not made yet."""
    done: bool
    seconds: float
    """What it took, or what stages of that name took so far; NaN when nobody knows."""
    ref: Ref | None = None
    """What it made, if it was done before."""
    harm: str = ""
    """Why it must be done again: what is wrong with the artefact that it made."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a configuration over a workspace."""

    at: Workspace
    run_id: str
    planning: bool = False
    """Ask the ledger only; make nothing."""
    calls: list[StageCall] = field(default_factory=list)
    """The stages met, when planning."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set when the run is to end; every stage that is under way then does."""
    dask: DaskSettings | None = None
    """Who works on the blocks of large slides; None: threads of this process."""

    @property
    def ledger(self) -> Ledger:
        """Return the workspace's ledger."""
        return Ledger(self.at)


@dataclass(frozen=True, slots=True)
class Work:
    """What the body of a stage is given beside its arguments."""

    at: Workspace
    key: str
    label: str
    stopped: threading.Event = field(default_factory=threading.Event)
    dask: DaskSettings | None = None

    @property
    def unfinished(self) -> UnfinishedWork:
        """Return where the stage keeps what it has so far, so that a kill costs little."""
        return UnfinishedWork.of(self.at, self.key)

    @property
    def parts(self) -> Parts:
        """Return the folders that the stage has finished of its artefact so far."""
        return Parts(self.unfinished.folder / "parts")

    def require_going_on(self) -> None:
        """Prove that the run goes on.

        Raises
        ------
        StoppedError
            If the run is to end.
        """
        _require_going_on(self.stopped)

    def progress(self, done: int, total: int) -> None:
        """Tell whoever watches how far the stage is.

        Raises
        ------
        StoppedError
            If the run is to end.
        """
        self.require_going_on()
        watch = observer.get(None)
        if watch:
            watch(self.label, "running", done, total)


def is_pending(ref: Ref) -> bool:
    """Return whether a Ref stands for something that a plan has not seen made."""
    return ref.digest.startswith("pending-")


def pending(kind: Kind) -> Ref:
    """Return what stands for something that a plan has not seen made."""
    return Ref(kind, f"pending-{next(_pending_numbers)}")


def canonical(value: Any) -> Any:  # noqa: ANN401  # a stage's argument
    """Return a stage's argument as JSON that is equal for equal arguments.

    Raises
    ------
    TypeError
        If the argument is of a type whose identity would depend on the process.
    """
    if isinstance(value, Ref):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: canonical(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [canonical(entry) for entry in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"a stage cannot be keyed by a {type(value).__name__}: {value!r}")


def _refs_in(value: Any) -> list[Ref]:  # noqa: ANN401  # a stage's argument
    if isinstance(value, Ref):
        return [value]
    if isinstance(value, tuple | list):
        return [ref for entry in value for ref in _refs_in(entry)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _refs_in([getattr(value, f.name) for f in dataclasses.fields(value)])
    return []


@dataclass(frozen=True, slots=True)
class Stage:
    """A named, versioned unit of work; call it with a `Run`, a label and its arguments."""

    name: str
    version: int
    makes: Kind
    body: Callable[..., Ref]

    def key(self, arguments: dict[str, Any]) -> str:
        """Return what the work is known by in the ledger."""
        named = {name: canonical(value) for name, value in arguments.items()}
        return digest_of([self.name, self.version, named])

    def __call__(self, run: Run, label: str, /, **arguments: Any) -> Ref:  # noqa: ANN401
        """Return the stage's artefact, made now unless the ledger knows it."""
        if any(is_pending(ref) for ref in _refs_in(list(arguments.values()))):
            return self._pending(run, label, "")
        key = self.key(arguments)
        if run.planning:
            return self._planned(run, label, key)
        return _through_prefect(self, run, label, arguments)

    def _planned(self, run: Run, label: str, key: str) -> Ref:
        known, harm = run.ledger.look(key)
        if known is None:
            return self._pending(run, label, key)
        done, seconds = not harm, known.seconds
        run.calls.append(StageCall(self.name, label, key, done, seconds, known.ref, harm))
        # Made again it will be what it was, and what stands on it stays; but a plan reads cards.
        lost = known.ref.kind in WITH_CARD and problems(run.at, known.ref, only=CARD, thorough=True)
        return pending(self.makes) if lost else known.ref

    def _pending(self, run: Run, label: str, key: str) -> Ref:
        seconds = run.ledger.typical_seconds().get(self.name, float("nan"))
        run.calls.append(StageCall(self.name, label, key, done=False, seconds=seconds))
        return pending(self.makes)

    def fetch(self, run: Run, label: str, arguments: dict[str, Any]) -> tuple[Ref, bool]:
        """Return the artefact and whether it was there already; two runs never make it twice."""
        key = self.key(arguments)
        with about(run=run.run_id, stage=key, label=label):
            return self._fetch(run, label, key, arguments)

    def _fetch(self, run: Run, label: str, key: str, arguments: dict[str, Any]) -> tuple[Ref, bool]:
        _note(run, label, key, "running")
        waiting = _Waiting(run, label, key)
        try:
            with exclusive(run.at.ledger / "locks" / f"{key}.lock", waiting):
                waiting.end()
                known, harm = run.ledger.look(key)
                if harm:
                    logger.warning("%s: made again, because of %s", label, harm)
                intact = known is not None and not harm
                ref = known.ref if known and intact else self._make(run, label, key, arguments)
        except BaseException as error:
            with suppress(WorkspaceError):  # a full disk takes no note either: say what came first
                _note(run, label, key, "failed", str(error) or type(error).__name__)
            raise
        _note(run, label, key, "cached" if intact else "completed", harm and f"made again: {harm}")
        return ref, intact

    def _make(self, run: Run, label: str, key: str, arguments: dict[str, Any]) -> Ref:
        work = Work(run.at, key, label, run.stopped, run.dask)
        started = time.time()
        ref = self.body(work, **arguments)
        record = StageRecord(key, self.name, label, ref, started, time.time() - started)
        run.ledger.record(record, {name: canonical(value) for name, value in arguments.items()})
        work.unfinished.clear()
        logger.info("%s: %s in %.1f s", label, ref, record.seconds)
        return ref


def _require_going_on(stopped: threading.Event) -> None:
    if stopped.is_set():
        raise StoppedError("stopped: the run was interrupted, or another of its stages failed")


@dataclass(slots=True)
class _Waiting:
    """A stage that another run is making just now; this one waits and takes what comes out."""

    run: Run
    label: str
    key: str
    is_said: bool = False

    def __call__(self, who: str) -> None:
        """Say once who is waited for; end the wait if the run is to end."""
        _require_going_on(self.run.stopped)
        if not self.is_said:
            logger.info("%s: waiting for %s, which makes it", self.label, who)
            _note(self.run, self.label, self.key, "waiting", f"{who} makes it")
        self.is_said = True

    def end(self) -> None:
        """Say that the wait is over, if there was one."""
        if self.is_said:
            _note(self.run, self.label, self.key, "running")


def _note(run: Run, label: str, key: str, state: str, message: str = "") -> None:
    run.ledger.note_stage(run.run_id, RunStage(label, state, key, message))
    watch = observer.get(None)
    if watch:
        watch(label, state, 0, 1)


def stage(*, name: str, version: int, makes: Kind) -> Callable[[Callable[..., Ref]], Stage]:
    """Return a decorator that makes a function of (work, keyword arguments) a stage.

    `version` must rise whenever the same arguments would give another artefact.
    """

    def wrap(body: Callable[..., Ref]) -> Stage:
        if name in STAGES:
            raise SignetflowError(f"two stages are called {name!r}: give one another name")
        STAGES[name] = Stage(name, version, makes, body)
        return STAGES[name]

    return wrap


def _through_prefect(known: Stage, run: Run, label: str, arguments: dict[str, Any]) -> Ref:
    from prefect.cache_policies import NO_CACHE
    from prefect.context import FlowRunContext
    from prefect.states import Completed
    from prefect.tasks import task

    if FlowRunContext.get() is None:
        return known.fetch(run, label, arguments)[0]

    @task(name=known.name, task_run_name=label, persist_result=False, cache_policy=NO_CACHE)
    def shown() -> Any:  # noqa: ANN401  # Prefect takes a value or a state
        ref, cached = known.fetch(run, label, arguments)
        if cached:
            return Completed(name="Cached", data=ref, message=str(ref))
        return ref

    ref: Ref = shown(return_state=True).result()
    return ref
