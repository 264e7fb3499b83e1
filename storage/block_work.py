"""Work on the blocks of large slides, several at once: in threads of this process by default.

A piece of work is a function of a module and one argument that can be sent to another process, as
`storage.cluster` does. It takes at most one shard of pixels into memory.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from models.errors import OperationsError, StoppedError
from storage.images import ImageDecoder
from storage.measuring import n_cores
from storage.slides import open_slide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from models.runtime_settings import DaskSettings
    from storage.slides import Slide

MOST_THREADS = 4
"""Each holds a block and has a child that decodes: more of them would take gigabytes."""
AHEAD_PER_THREAD = 2
"""Pieces of work that are given out before the first result is asked for."""
WORTH_WAITING = 0.1
"""Share of the time that an item took to make: so long a result is waited for before the next item
is made. Costs nothing where items are made at once."""
POLL_S = 0.01

Item = TypeVar("Item")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class Promise(Protocol[Result_co]):
    """A result to be."""

    def result(self) -> Result_co:
        """Return it, or raise what the work raised."""
        ...

    def done(self) -> bool:
        """Return whether the result is there, or can never be."""
        ...

    def cancel(self) -> object:
        """Do not begin the work, if it has not begun."""
        ...


class Workers(Protocol):
    """Those who do the work, wherever they are."""

    job: str
    """What they do now; pieces of work name it to have slides kept open between them."""

    def each(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield each item, in their order, with the result of the work on it.

        Only a few items are asked for ahead of the results, none while there is a result to yield,
        and what one raises is raised in its place.
        """
        ...


def in_order(
    begin: Callable[[Item], Promise[Result]], items: Iterable[Item], n_ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Yield items with their results, of which at most so many are begun ahead."""
    waiting: deque[tuple[Item, Promise[Result]]] = deque()
    try:
        for item, made_s in _timed(items):
            waiting.append((item, begin(item)))
            # What is done is handed on first, and what nearly is: items may take long to make, and
            # a kill costs what nobody has taken in.
            if len(waiting) >= n_ahead or _soon(waiting[0][1], WORTH_WAITING * made_s):
                first, promise = waiting.popleft()
                yield first, promise.result()
        while waiting:
            first, promise = waiting.popleft()
            yield first, promise.result()
    finally:
        for _, promise in waiting:
            promise.cancel()


def pieces_ahead(n_threads: int, most: int | None) -> int:
    """Return how many pieces of work so many threads begin ahead of their results."""
    wanted = max(1, AHEAD_PER_THREAD * n_threads)
    return wanted if most is None else min(wanted, most)


def _timed(items: Iterable[Item]) -> Iterator[tuple[Item, float]]:
    """Yield items, and how many seconds each took to make."""
    started = time.monotonic()
    for item in items:
        yield item, time.monotonic() - started
        started = time.monotonic()


def _soon(promise: Promise[Result], timeout_s: float) -> bool:
    """Return whether a result is there, now or before the time is over."""
    deadline = time.monotonic() + timeout_s
    while not promise.done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(min(POLL_S, timeout_s))
    return True


class Threads:
    """Workers in this process.

    Parameters
    ----------
    n_threads : int, optional
        By default one for each core, at most `MOST_THREADS`.
    most_ahead : int, optional
        Pieces of work begun ahead of their results, at most.
    """

    def __init__(self, n_threads: int | None = None, most_ahead: int | None = None) -> None:
        self.job = uuid.uuid4().hex
        n_threads = n_threads or min(n_cores(), MOST_THREADS)
        self._n_ahead = pieces_ahead(n_threads, most_ahead)
        self._pool = ThreadPoolExecutor(n_threads)

    def each(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield items and results in order; see `Workers`."""
        return in_order(lambda item: self._pool.submit(work, item), items, self._n_ahead)

    def close(self) -> None:
        """Give up what is under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        end_job(self.job)
        self._pool.shutdown(wait=True)


@contextmanager
def hired(dask: DaskSettings | None = None, most_ahead: int | None = None) -> Iterator[Workers]:
    """Yield the workers that the settings name: of a Dask cluster, or else threads.

    Parameters
    ----------
    dask : DaskSettings, optional
    most_ahead : int, optional
        Pieces of work begun ahead of their results, at most; for pieces that hold much memory. By
        default `AHEAD_PER_THREAD` for each thread that works.

    Raises
    ------
    OperationsError
        If the cluster cannot be used.
    """
    if dask is None:
        threads = Threads(most_ahead=most_ahead)
        try:
            yield threads
        finally:
            threads.close()
    else:
        from storage.cluster import Cluster

        with Cluster(dask.address, most_ahead) as cluster:
            yield cluster


def require_seen(*paths: Path) -> None:
    """Prove that who does the work sees what it is to work on.

    Raises
    ------
    OperationsError
        If a path is not there.
    """
    for path in paths:
        if not path.exists():
            raise OperationsError(
                f"{path}: a worker does not see it. Every worker of a Dask cluster needs the "
                f"workspace and the slides under the same paths."
            )


@dataclass(slots=True)
class _Desk:
    """What one thread keeps between two pieces of work."""

    decoder: ImageDecoder = field(default_factory=ImageDecoder)
    asked: tuple[Path, float | None] | None = None
    slide: Slide | None = None

    def open(self, path: Path, mpp: float | None) -> Slide:
        if self.slide is None or self.asked != (path, mpp):
            self.slide = None  # not two whole images in memory
            self.slide = open_slide(path, mpp, decoder=self.decoder)
            self.asked = path, mpp
        return self.slide


_desks: dict[tuple[str, int], _Desk] = {}
_ended: set[str] = set()
_lock = threading.Lock()


@contextmanager
def slide_for(job: str, path: Path, mpp: float | None) -> Iterator[Slide]:
    """Yield an opened slide that this thread keeps until it needs another, or the job ends.

    Raises
    ------
    ImageError
        As `open_slide`.
    StoppedError
        If the job has ended: nobody wants the result.
    """
    with _lock:
        _require_wanted(job)
        desk = _desks.setdefault((job, threading.get_ident()), _Desk())
    try:
        yield desk.open(path, mpp)
    finally:
        with _lock:
            has_ended = job in _ended
        if has_ended:  # the decoder may have started a child again
            desk.decoder.close()


def require_wanted(job: str) -> None:
    """Prove that somebody still wants what is made for a job.

    Raises
    ------
    StoppedError
        If it has ended.
    """
    with _lock:
        _require_wanted(job)


def _require_wanted(job: str) -> None:
    if job in _ended:
        raise StoppedError(f"job {job}: it ended before all of its blocks were done")


def end_job(job: str) -> None:
    """Close what the threads of this process keep for a job; what is under way ends soon."""
    with _lock:
        _ended.add(job)
        mine = [key for key in _desks if key[0] == job]
        desks = [_desks.pop(key) for key in mine]
    for desk in desks:
        desk.decoder.close()
