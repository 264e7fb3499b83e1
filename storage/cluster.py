"""A Dask cluster that somebody runs, as workers for the blocks of large slides.

Each worker must have this signetflow, the same versions of what computes pixels, and see the
workspace and the slides under the same paths.
"""

from __future__ import annotations

import hashlib
import logging
import platform
import threading
import time
import uuid
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from distributed import CancelledError, Client, KilledWorker

from models.errors import OperationsError
from storage.block_work import end_job, in_order, pieces_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CONNECT_S = 10
PATIENCE_S = 15.0
"""How long a scheduler or the last worker may be away in mid-work."""
LOOK_S = 0.5
FETCH_S = 15.0
LONGEST_FETCH_S = 600.0
"""How long results are asked for that are said to be there and do not come."""
COMPUTING = ("numpy", "opencv-python-headless", "pillow", "tiffslide", "tifffile", "imagecodecs",
             "zarr", "numcodecs", "scipy", "scikit-image", "pyarrow")  # fmt: skip
"""What decides the bytes of a block."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def identity() -> dict[str, str]:
    """Return what must be equal on all machines for equal bytes."""
    root = Path(__file__).resolve().parents[1]
    code = hashlib.sha256()
    folders = ("models", "storage", "tasks")
    for path in sorted(path for one in folders for path in root.glob(f"{one}/**/*.py")):
        code.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return {
        "signetflow": code.hexdigest()[:12],
        "python": platform.python_version(),
        **{name: version(name) for name in COMPUTING},
    }


def _checked(work: Callable[[Item], Result], expected: dict[str, str], item: Item) -> Result:
    """Do a piece of work on a worker, if that is like the machine that asks.

    Raises
    ------
    OperationsError
        If it is not.
    """
    found = identity()
    other = [f"{name} {found.get(name)}" for name in expected if found.get(name) != expected[name]]
    if other:
        wanted = [f"{name} {expected[name]}" for name in expected if found[name] != expected[name]]
        raise OperationsError(
            f"The Dask worker on {platform.node()} has {', '.join(other)}, expected "
            f"{', '.join(wanted)}: its blocks could differ. Install the same release there and "
            f"start the worker again."
        )
    return work(item)


class Cluster:
    """The workers of one Dask scheduler.

    Parameters
    ----------
    address : str
        Of the scheduler, such as ``tcp://10.0.0.5:8786``.
    most_ahead : int, optional
        Pieces of work begun ahead of their results, at most.

    Raises
    ------
    OperationsError
        If there is no scheduler, or it has no worker.
    """

    def __init__(self, address: str, most_ahead: int | None = None) -> None:
        self.job = uuid.uuid4().hex
        self._address, self._most_ahead = address, most_ahead
        for name in ("distributed", "distributed.client", "distributed.utils"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # tracebacks of what is said here
        try:
            connect: Any = Client
            self._client: Any = connect(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, ImportError) as error:
            raise OperationsError(
                f"runtime.dask.address {address}: no Dask scheduler answers "
                f"({_first_line(error)}). Start one with `dask scheduler`, correct the address, or "
                f"leave the setting out to work in threads."
            ) from error
        if not self.n_threads():
            self._client.close()
            raise OperationsError(
                f"The Dask scheduler at {address} has no worker. Start some with "
                f"`dask worker {address}` on machines that see the workspace."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def n_threads(self) -> int:
        """Return how many threads the workers have now."""
        return sum(one["nthreads"] for one in self._workers().values())

    def each(
        self, work: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield items and results in order; see `Workers`."""
        n_ahead = pieces_ahead(self.n_threads(), self._most_ahead)
        return in_order(partial(self._begin, work), items, n_ahead)

    def close(self) -> None:
        """Have the workers close what they keep, as far as they can be reached, and leave."""
        if self._client.status == "running":
            with suppress(OSError):  # a lost scheduler: its workers end, with them their children
                self._client.run(end_job, self.job, on_error="ignore")
        self._client.close(timeout=2)

    def _workers(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.scheduler_info(n_workers=-1)["workers"]
        return found

    def _begin(self, work: Callable[[Item], Result], item: Item) -> _Sent[Result]:
        try:
            # Not pure: the same call again is to be made again, not remembered by the scheduler.
            future = self._client.submit(_checked, work, identity(), item, pure=False)
        except (OSError, RuntimeError) as error:
            raise self.lost(_first_line(error)) from error
        return _Sent(self, future)

    def lost(self, why: str) -> OperationsError:
        """Return the error for a cluster that is gone in mid-work."""
        return OperationsError(
            f"The Dask cluster at {self._address} was lost in mid-work: {why}. Nothing half-made "
            f"is kept; start it again, or leave runtime.dask out, and run the same command again."
        )

    def trouble(self) -> str:
        """Return why nothing can come from the cluster just now, or nothing."""
        if self._client.status != "running":
            return "its scheduler does not answer any more"
        try:
            return "" if self._workers() else "it has no worker left"
        except (OSError, RuntimeError) as error:
            return _first_line(error)


class _Sent(Generic[Result]):
    """A piece of work that was sent to a cluster."""

    def __init__(self, cluster: Cluster, future: Any) -> None:  # noqa: ANN401  # untyped there
        self._cluster, self._future = cluster, future

    def done(self) -> bool:
        """Return whether the result is there, or can never be."""
        return bool(self._future.done())

    def cancel(self) -> None:
        """Do not begin the work, if it has not begun."""
        self._future.release()

    def result(self) -> Result:
        """Return what the worker made.

        Raises
        ------
        OperationsError
            If the cluster is gone, or the worker is not like this machine.
        """
        asked = time.monotonic()
        while True:
            self._wait()
            try:
                made: Result = self._future.result(timeout=FETCH_S)
            except CancelledError as error:
                raise self._cluster.lost("its scheduler went away") from error
            except KilledWorker as error:
                raise self._cluster.lost(_first_line(error)) from error
            except ImportError as error:
                raise OperationsError(
                    f"A Dask worker cannot import signetflow ({_first_line(error)}). Install the "
                    f"same release there and start the worker again."
                ) from error
            except OSError as error:  # a TimeoutError is one
                self._require_hope(error, asked)
            else:
                return made

    def _require_hope(self, error: OSError, asked: float) -> None:
        """Raise an error unless fetching the result once more may help.

        Who has the result may die just before it is fetched: then it is made again elsewhere. And
        when the scheduler dies, its connections break before the client knows.
        """
        if self._future.status == "error":
            raise error  # of the work itself
        trouble = self._cluster.trouble()
        if trouble or (self._future.done() and time.monotonic() - asked > LONGEST_FETCH_S):
            raise self._cluster.lost(trouble or _first_line(error)) from error
        time.sleep(LOOK_S)

    def _wait(self) -> None:
        """Wait for the work to be done, as long as there is someone who does it."""
        done = threading.Event()
        self._future.add_done_callback(lambda _: done.set())
        well = time.monotonic()
        while not (done.wait(LOOK_S) or self._future.done()):
            trouble = self._cluster.trouble()
            if not trouble:
                well = time.monotonic()
            elif time.monotonic() - well > PATIENCE_S:
                raise self._cluster.lost(trouble)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
