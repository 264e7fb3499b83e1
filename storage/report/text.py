"""Numbers and foreign names as people read them: filters of the page."""

from __future__ import annotations

import math
import re
from typing import Any

from markupsafe import Markup

DASH = "\N{EN DASH}"
NARROW = "\N{NO-BREAK SPACE}"
LONGEST = 1000
"""Characters of a text from outside; more help nobody and could make the page large."""

UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # control characters
    r"\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"  # hidden or turning text
    r"\u2028\u2029\ud800-\udfff\ufffe\uffff]"  # line ends, halves of characters, none at all
)


def visible(text: str) -> str:
    """Return a text in which nothing is hidden, turns the reading direction or breaks the file.

    A control character of ASCII becomes its picture, anything else its number.
    """
    shown = UNSEEN.sub(_picture, text[:LONGEST])
    left = len(text) - LONGEST
    return shown if left <= 0 else f"{shown}\N{HORIZONTAL ELLIPSIS} ({left:,} more characters)"


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"<U+{code:04X}>"


def shown(value: Any) -> Any:  # noqa: ANN401  # whatever a template prints
    """Return what a template is to print: text made visible, everything else as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number for people; a dash where there is none."""
    return DASH if _unknown(value) else f"{value:,.{digits}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """Return a number with its sign, with a real minus."""
    return DASH if _unknown(value) else f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share as percent."""
    return DASH if value is None or _unknown(value) else f"{100 * value:.{digits}f}{NARROW}%"


def number(value: float) -> str:
    """Return a setting such as 0.3 or 32 without digits that say nothing."""
    return f"{value:g}"


def listed(words: list[str] | tuple[str, ...]) -> str:
    """Return words as people list them: ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)
