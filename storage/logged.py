"""What a line of the log says beside its message: which run, round and stage it is about."""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ROUND = re.compile(r"\bround (\d+)")
FLOW_RUN = "PREFECT__FLOW_RUN_ID"
"""Is set by Prefect in the process of a worker's run."""
_FROM_PREFECT = ("flow_run_id", "task_run_id")
SHORT = 8
"""Digits of an id in a line for people."""

_about: ContextVar[Mapping[str, str]] = ContextVar("about")


@contextmanager
def about(**ids: str) -> Iterator[None]:
    """Let what is logged in the block, and in threads with its context, carry ids.

    Parameters
    ----------
    ids
        ``run``, ``stage`` (its key) and ``label`` (of the stage, which may name a round).
    """
    token = _about.set({**_about.get({}), **ids})
    try:
        yield
    finally:
        _about.reset(token)


def ids() -> dict[str, Any]:
    """Return what a line that is logged here would carry."""
    known: dict[str, Any] = dict(_about.get({}))
    found = _ROUND.search(known.get("label", ""))
    return known | ({"round": int(found[1])} if found else {})


class JsonLines(logging.Formatter):
    """One JSON object for each record, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        said |= ids()
        flow_run = os.environ.get(FLOW_RUN)
        said |= {"flow_run_id": flow_run} if flow_run else {}
        known = {name: getattr(record, name, None) for name in _FROM_PREFECT}
        said |= {name: str(value) for name, value in known.items() if value}
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


class Prefixed(logging.Formatter):
    """Lines for people, with short ids before the message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, and what was raised below it."""
        known = ids()
        words = [
            f"{name} {str(known[name])[:SHORT]}" for name in ("run", "round", "stage")
            if name in known
        ]  # fmt: skip
        record.ids = f"[{' · '.join(words)}] " if words else ""
        return super().format(record)
