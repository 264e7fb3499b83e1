"""One thing that ``signetflow doctor`` looked at."""

from __future__ import annotations

from typing import Literal, NamedTuple

Verdict = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    seen: str
    advice: str = ""
    """What to do about it; empty when all is well."""
