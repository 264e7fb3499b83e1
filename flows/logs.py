"""Where log lines go: the one place that sets logging up, for commands and for runs of workers."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from models.errors import ConfigError
from storage.logged import FLOW_RUN, JsonLines, Prefixed

if TYPE_CHECKING:
    from typing import TextIO

LOGS = "SIGNETFLOW_LOGS"
"""``json``: one object a line, on stderr; ``text``: lines with ids. Unset: warnings only, as they
are, and inside a flow run Prefect's own form."""
OURS = ("flows", "tasks", "storage", "models")
_LINE = "%(asctime)s %(levelname)s %(ids)s%(message)s"


class _Stderr(logging.StreamHandler["TextIO"]):
    """Writes to whatever stderr is when a line is written, as Python's last resort does."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """Return today's stderr."""
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        raise AttributeError


def wanted() -> str:
    """Return the form of log lines that the environment asks for: json, text or none in particular.

    Raises
    ------
    ConfigError
        If it asks for another.
    """
    form = os.environ.get(LOGS, "")
    if form not in {"", "json", "text"}:
        raise ConfigError(f"{LOGS}={form}: expected json or text.")
    return form


def are_json() -> bool:
    """Return whether every line on stderr is to be a JSON object."""
    return os.environ.get(LOGS) == "json"


def set_up() -> None:
    """Set logging up as the environment asks; again in the same process changes nothing.

    Raises
    ------
    ConfigError
        If the environment asks for a form that there is not.
    """
    form = wanted()
    if form:
        handler = _Stderr()
        handler.setFormatter(JsonLines() if form == "json" else Prefixed(_LINE))
        _only(handler)
    deployed = FLOW_RUN in os.environ
    for name in OURS if form or deployed else ():
        logging.getLogger(name).setLevel(logging.INFO)
    if deployed:
        _tell_prefect()


def _only(handler: logging.Handler) -> None:
    """Put a handler in the place of what wrote to the console."""
    root = logging.getLogger()
    for one in list(root.handlers):
        if isinstance(one, _Stderr) or type(one).__name__ == "PrefectConsoleHandler":
            root.removeHandler(one)
    root.addHandler(handler)


def _tell_prefect() -> None:
    """Send our lines to the server, where Prefect shows them beside those of the flow run."""
    from prefect.context import FlowRunContext, TaskRunContext
    from prefect.logging.handlers import APILogHandler

    def inside(_: logging.LogRecord) -> bool:
        return bool(FlowRunContext.get() or TaskRunContext.get())

    for name in OURS:
        ours = logging.getLogger(name)
        if any(isinstance(one, APILogHandler) for one in ours.handlers):
            continue
        handler = APILogHandler()
        handler.setFormatter(Prefixed("%(ids)s%(message)s"))
        handler.addFilter(inside)  # a thread without the context has no flow run to write to
        ours.addHandler(handler)


if FLOW_RUN in os.environ:
    set_up()  # Prefect loads a flow, and with it this, before it says the first word of a run
