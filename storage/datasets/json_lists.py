"""The lists of a JSON object, read one element after the other within limits.

Only one element is in memory at a time. The standard library's decoder is quicker here than ijson
(1.7 against 2.4 s for 114 MB of outlines) and reads NaN and Infinity, which JSON does not have and
Python writes: the one record that holds them can be refused instead of the file.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard, TypeVar

from models.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

MAXIMUM_JSON_MB = 512
MAXIMUM_VALUE_MB = 64
"""Of one element, or of what stands beside the lists."""
LARGEST = 2.0**53
"""Above, whole numbers of pixels are no longer exact."""
_BLOCK = 1 << 20
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"[-+.0-9eE]*")
_decode = json.JSONDecoder().raw_decode

Result = TypeVar("Result")
Key = int | str
"""COCO ids are numbers; some exporters write text."""


def as_text(value: object) -> str:
    """Return a JSON value as a person would type it."""
    return value if isinstance(value, str) else json.dumps(value)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a JSON value is a finite number."""
    if type(value) is float or type(value) is int:  # what JSON gives; asked a million times
        return abs(value) < LARGEST  # false for NaN; no overflow for whole numbers of any length
    return False


def is_text(value: object) -> TypeGuard[str]:
    """Return whether a JSON value is text that can be stored: JSON allows halves of characters."""
    return isinstance(value, str) and not any("\ud800" <= one <= "\udfff" for one in value)


def is_key(value: object) -> TypeGuard[Key]:
    """Return whether a JSON value can be an id."""
    return type(value) is int or is_text(value)


def kind_of(value: object) -> str:
    """Return what JSON calls a value."""
    kinds = {dict: "object", list: "list", str: "text", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")


def read_lists(path: Path, lists: Mapping[str, Callable[[Any], None]]) -> set[str]:
    """Hand over the elements of the lists of an object, and return the names of all its values.

    Parameters
    ----------
    path
        A JSON file.
    lists
        What is called with each element, by the name of its list.

    Raises
    ------
    AnnotationError
        If the file is too large, not JSON, no object, or one of the names is no list.
    """
    return _read(path, lambda text: _Object(path, text).read(lists))


def read_list(path: Path, take: Callable[[Any], None]) -> None:
    """Hand over the elements of the list that a file holds.

    Raises
    ------
    AnnotationError
        If the file is too large, not JSON, or no list.
    """

    def read(text: _Text) -> None:
        if text.peek() != "[":
            kind = "object" if text.peek() == "{" else kind_of(text.value())
            raise AnnotationError(f"{path}: holds a JSON {kind}, expected a list.")
        for _ in text.entries("[", "]"):
            take(text.value())
        text.require_end()

    _read(path, read)


def _read(path: Path, read: Callable[[_Text], Result]) -> Result:
    try:
        size_mb = path.stat().st_size / 2**20
        if size_mb > MAXIMUM_JSON_MB:
            raise AnnotationError(
                f"{path}: {size_mb:.0f} MB of JSON, at most {MAXIMUM_JSON_MB} are read. Split the "
                f"dataset into several files."
            )
        with path.open("rb") as stream:
            encoding = json.detect_encoding(stream.read(4))
        with path.open(encoding=encoding, newline="") as text:
            return read(_Text(text.read))
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror}).") from error
    except RecursionError as error:
        raise AnnotationError(f"{path}: JSON nested too deeply to be a dataset.") from error
    except ValueError as error:
        if isinstance(error, AnnotationError):
            raise
        raise AnnotationError(f"{path}: not JSON ({error}). Export or copy it again.") from error


class _Text:
    """Text of which only what comes next is in memory."""

    def __init__(self, read: Callable[[int], str]) -> None:
        self._read = read
        self._text = ""
        self._at = 0
        self._before = 0
        """Characters that are no longer in memory."""
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is no space; nothing at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def take(self, expected: str) -> str:
        """Return the next character and go behind it; it must be one of those expected."""
        found = self.peek()
        if not found or found not in expected:
            self.fail(f"{found or 'the end'!r:.12} instead of {' or '.join(expected)}")
        self._at += 1
        return found

    def value(self) -> Any:  # noqa: ANN401  # any JSON
        """Return the next value and go behind it."""
        self.peek()
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._more():
                    self.fail(error.msg, error.pos)
                continue
            if isinstance(value, dict | list | str):
                self._at = end
                return value
            # A number may go on in what has not been read: 1 of 1.5, too, while 1. is all there is.
            going_on = _NUMBER.match(self._text, end)
            if (going_on and going_on.end() < len(self._text)) or not self._more():
                self._at = end
                return value

    def entries(self, start: str, end: str) -> Iterator[None]:
        """Yield before each entry within brackets, which the caller takes."""
        self.take(start)
        if self.peek() == end:
            self.take(end)
            return
        while True:
            yield
            if self.take(f",{end}") == end:
                return

    def require_end(self) -> None:
        """Raise if anything is left."""
        if self.peek():
            self.fail("more than one value")

    def fail(self, reason: str, at: int | None = None) -> NoReturn:
        """Raise an error that names the place."""
        place = self._before + (self._at if at is None else at)
        raise ValueError(f"{reason} at character {place}")

    def _more(self) -> bool:
        """Read as much again as is waiting; return whether there was anything."""
        waiting = len(self._text) - self._at
        if waiting > MAXIMUM_VALUE_MB << 20:
            self.fail(f"a single value of more than {MAXIMUM_VALUE_MB} MB")
        if self._ended:
            return False
        some = self._read(max(_BLOCK, waiting))
        self._ended = not some
        self._before += self._at
        self._text, self._at = self._text[self._at :] + some, 0
        return bool(some)


class _Object:
    """The object that a file holds."""

    def __init__(self, path: Path, text: _Text) -> None:
        self._path = path
        self._text = text
        self._names: set[str] = set()

    def read(self, lists: Mapping[str, Callable[[Any], None]]) -> set[str]:
        """Hand over the elements of lists, and return the names of all values."""
        self._require_object()
        for _ in self._text.entries("{", "}"):
            name = self._name()
            if self._text.peek() == "[":
                take = lists.get(name, _leave)
                for _ in self._text.entries("[", "]"):
                    take(self._text.value())
            else:
                value = self._text.value()
                if name in lists:
                    raise AnnotationError(
                        f"{self._path}: {name!r} is a JSON {kind_of(value)}, expected a list (an "
                        f"empty one if there are none). Check the export."
                    )
        self._text.require_end()
        return self._names

    def _require_object(self) -> None:
        first = self._text.peek()
        if first == "{":
            return
        kind = "list" if first == "[" else kind_of(self._text.value())
        raise AnnotationError(
            f"{self._path}: holds a JSON {kind}, expected an object with images, annotations and "
            f"categories. COCO results files have no images; give the truth file."
        )

    def _name(self) -> str:
        if self._text.peek() != '"':
            self._text.take('"')
        name = self._text.value()
        self._text.take(":")
        if name in self._names:
            raise AnnotationError(f"{self._path}: {name!r:.60} is there twice. Check the export.")
        self._names.add(name)
        return str(name)


def _leave(value: object) -> None:
    """Do nothing with an element."""
    del value
