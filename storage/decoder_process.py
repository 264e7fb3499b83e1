"""The decoder's process, seen from the one that asks."""

from __future__ import annotations

import json
import math
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from storage import decoder

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 5
_OUT_OF_TIME = (-signal.SIGPROF, -signal.SIGALRM)
LINE_BYTES = 4096
PIPE_BYTES = 1 << 20
"""Fewer turns between the two processes than with the usual 64 KiB; Linux gives it to anyone."""


class DecoderProcess:
    """A process that runs `storage.decoder`; it is started when needed, and again if it died.

    Parameters
    ----------
    limit_mb : int
        Of its memory.
    """

    def __init__(self, limit_mb: int) -> None:
        self.limit_mb = limit_mb
        self._child: subprocess.Popen[bytes] | None = None

    def ask(
        self, request: dict[str, Any], timeout_s: float
    ) -> tuple[dict[str, Any], bytearray | None]:
        """Return the line that it answers, and the pixels that follow where it has a shape.

        Parameters
        ----------
        request : dict
            As `storage.decoder` expects it.
        timeout_s : float
            Of processor time: a busy machine is no fault of the file. A slow disk has
            `PATIENCE` times as long.

        Raises
        ------
        TimeoutError
            If the answer is not there in time. The process is ended.
        EOFError, OSError
            If the process dies.
        """
        child, wall_s = self.start(), timeout_s * PATIENCE
        conversation = _Conversation(child, time.monotonic() + wall_s)
        try:
            conversation.say(request | {"timeout_s": timeout_s, "wall_s": wall_s})
            header = json.loads(conversation.line())
            shape = header.get("shape")
            return header, conversation.read(math.prod(shape) * 3) if shape else None
        except EOFError:
            self.end()
            if child.returncode in _OUT_OF_TIME:
                raise TimeoutError from None
            raise
        except BaseException:  # the rest of the answer would be taken for the next one
            self.end()
            raise

    def end(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()  # nothing, if it ended already
        child.communicate()

    def start(self) -> subprocess.Popen[bytes]:
        """Return the process, a new one where there is none."""
        if self._child is None or self._child.poll() is not None:
            self.end()
            script = str(Path(decoder.__file__).absolute())
            # Isolated: neither the environment nor the working directory may change what it runs.
            self._child = subprocess.Popen(  # noqa: S603  # our own interpreter and script
                [sys.executable, "-I", script, str(self.limit_mb * 2**20)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pipesize=PIPE_BYTES,
            )
        return self._child


class _Conversation:
    """One request to the process and its answer, in time.

    Parameters
    ----------
    child : subprocess.Popen
        With pipes.
    deadline : float
        On the monotonic clock.

    Raises
    ------
    TimeoutError
        If the answer is not there in time.
    EOFError
        If the child dies.
    """

    def __init__(self, child: subprocess.Popen[bytes], deadline: float) -> None:
        self._stdin, self._stdout = _pipe(child.stdin), _pipe(child.stdout)
        self._deadline = deadline
        self._ahead = bytearray()
        """Of pixels, read together with the line before them."""
        self._waiting = select.poll()
        self._waiting.register(self._stdout, select.POLLIN)

    def say(self, request: dict[str, Any]) -> None:
        """Send a request; it is far smaller than what a pipe holds."""
        with _ended_by_another():
            self._stdin.write(json.dumps(request).encode() + b"\n")

    def line(self) -> bytes:
        """Return the next line."""
        line = bytearray()
        while b"\n" not in line:
            piece = bytearray(LINE_BYTES)
            line += piece[: self._read_into(memoryview(piece))]
        first, _, self._ahead = line.partition(b"\n")
        return bytes(first)

    def read(self, n_bytes: int) -> bytearray:
        """Return exactly so many bytes."""
        found = bytearray(n_bytes)
        n_ahead = min(n_bytes, len(self._ahead))
        found[:n_ahead] = self._ahead[:n_ahead]
        missing = memoryview(found)[n_ahead:]
        while missing:
            missing = missing[self._read_into(missing) :]
        return found

    def _read_into(self, target: memoryview) -> int:
        """Return how many bytes came in time."""
        left_s = self._deadline - time.monotonic()
        if not self._waiting.poll(max(0.0, left_s) * 1000):
            raise TimeoutError
        with _ended_by_another():
            n_read: int = self._stdout.readinto(target)  # type: ignore[attr-defined]  # unbuffered
        if not n_read:
            raise EOFError
        return n_read


@contextmanager
def _ended_by_another() -> Iterator[None]:
    """Take a pipe that another thread closed for a process that ended."""
    try:
        yield
    except ValueError as error:  # what Python calls a closed file
        raise EOFError from error


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:  # pragma: no cover  # Popen was given pipes
        raise RuntimeError("the decoder has no pipe")
    return stream
