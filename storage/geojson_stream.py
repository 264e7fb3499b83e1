"""GeoJSON read as a stream, one object after the other, within limits.

QuPath writes a FeatureCollection, a bare list of features or a single feature, and numbers that
JSON does not have (a measurement of NaN). Nothing here needs more memory than the largest object.
"""

from __future__ import annotations

import gzip
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

import ijson

from models.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAXIMUM_MB = 256
"""Of one file, after decompression: about two million outlined cells."""
MAXIMUM_OBJECTS = 500_000
"""Of one file."""
MAXIMUM_POINTS = 100_000
"""Of one object."""
MAXIMUM_VALUES = 1_000
"""Of one object beside its points: its class and name, and what it is measured by."""
MAXIMUM_DEPTH = 16
"""Of brackets within brackets; a polygon in a collection of collections needs ten."""
MAXIMUM_TOKEN_BYTES = 1 << 20
"""What may stand between two commas."""

_KEPT = frozenset({"type", "id", "geometry", "properties", "coordinates", "isEllipse"})
"""Of a feature, and of a geometry that stands alone."""
_KEPT_PROPERTIES = frozenset(
    {"objectType", "object_type", "type", "name", "classification", "metadata"}
)
_NESTED = frozenset({"childObjects", "children"})
NESTED = "childObjects"
"""The property that tells how many objects lie nested in one; they are not read."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """An object that goes beyond the limits, passed over."""

    id: object
    """As far as it was read; None if it had not come yet."""
    reason: str


def features(path: Path) -> Iterator[Mapping[str, Any] | TooLarge]:
    """Yield each feature of a file, its geometry, type, name, class and metadata.

    Raises
    ------
    AnnotationError
        If the file cannot be read, is too large, or no GeoJSON. Features that came before the
        damage have been yielded then: take none of them.
    """
    count = 0
    for count, one in enumerate(_features(path), start=1):
        if count > MAXIMUM_OBJECTS:
            raise AnnotationError(
                f"{path}: more than {MAXIMUM_OBJECTS} objects. Export the annotations alone, "
                f"without detections."
            )
        yield one


def _features(path: Path) -> Iterator[Mapping[str, Any] | TooLarge]:
    try:
        with _opened(path) as stream:
            tokens = _Tokens(ijson.basic_parse(_Cleaned(path, stream), use_float=True))
            event, _ = tokens.take()
            if event not in {"start_map", "start_array"}:
                raise AnnotationError(
                    f"{path}: holds a single JSON value, expected GeoJSON. Export it from QuPath "
                    f"with File > Export objects as GeoJSON."
                )
            yield from _elements(tokens, event)
            tokens.require_end()
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (EOFError, zlib.error) as error:
        raise AnnotationError(f"{path}: the compressed file is damaged ({error}).") from error
    except (ijson.JSONError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise AnnotationError(f"{path}: not JSON ({reason}). Export or copy it again.") from error
    except _TooDeepError as error:
        raise AnnotationError(f"{path}: nested too deeply to be GeoJSON of QuPath.") from error


class _LimitError(Exception):
    """One object is larger than it may be."""


class _TooDeepError(Exception):
    """The brackets around the objects are too many."""


class _Tokens:
    """The JSON tokens of a file, and how deep in brackets they are."""

    def __init__(self, events: Iterator[tuple[str, Any]]) -> None:
        self._events = events
        self.depth = 0

    def take(self) -> tuple[str, Any]:
        """Return the next token."""
        token = next(self._events)
        if token[0] in {"start_map", "start_array"}:
            self.depth += 1
        elif token[0] in {"end_map", "end_array"}:
            self.depth -= 1
        return token

    def skip_to(self, depth: int) -> None:
        """Leave out what follows, up to the bracket that closes down to a depth."""
        while self.depth > depth:
            self.take()

    def require_end(self) -> None:
        """Read on behind the last bracket; anything there is an error of the parser."""
        for _ in self._events:
            pass


def _elements(tokens: _Tokens, event: str) -> Iterator[Mapping[str, Any] | TooLarge]:
    """Yield the features of a value whose first token was just taken."""
    if tokens.depth > MAXIMUM_DEPTH:
        raise _TooDeepError
    if event == "start_map":
        yield from _object(tokens)
    elif event == "start_array":
        yield from _array(tokens)
    else:
        yield TooLarge(None, "it is a single value, expected an object with a geometry")


def _array(tokens: _Tokens) -> Iterator[Mapping[str, Any] | TooLarge]:
    while True:
        event, _ = tokens.take()
        if event == "end_array":
            return
        yield from _elements(tokens, event)


def _object(tokens: _Tokens) -> Iterator[Mapping[str, Any] | TooLarge]:
    """Yield a feature, or those of a collection: which of the two shows at its end."""
    outside = tokens.depth - 1
    found: dict[str, Any] = {}
    collection = False
    budget = _Budget()
    try:
        while (key := tokens.take()[1]) is not None:
            event, value = tokens.take()
            if key == "features" and event == "start_array":
                collection = True
                yield from _array(tokens)
            elif key == "properties" and event == "start_map":
                found[key] = _properties(tokens, budget)
            else:
                _keep(tokens, (key, event, value), found, _KEPT, budget)
    except _LimitError as error:
        tokens.skip_to(outside)
        yield TooLarge(found.get("id"), str(error))
        return
    if not collection:
        yield found


def _keep(
    tokens: _Tokens,
    entry: tuple[str, str, Any],
    found: dict[str, Any],
    wanted: frozenset[str],
    budget: _Budget,
) -> None:
    key, event, value = entry
    if key in wanted:
        found[key] = _value(tokens, event, value, budget)
    elif event in {"start_map", "start_array"}:
        tokens.skip_to(tokens.depth - 1)


def _properties(tokens: _Tokens, budget: _Budget) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while (key := tokens.take()[1]) is not None:
        event, value = tokens.take()
        if key in _NESTED and event == "start_array":
            found[NESTED] = _count(tokens)
        else:
            _keep(tokens, (key, event, value), found, _KEPT_PROPERTIES, budget)
    return found


def _count(tokens: _Tokens) -> int:
    """Return how many entries the array has whose first token was just taken."""
    outside, n_entries = tokens.depth - 1, 0
    while tokens.depth > outside:
        event, _ = tokens.take()
        n_entries += event == "start_map" and tokens.depth == outside + 2
    return n_entries


class _Budget:
    """How much of one object has been read."""

    def __init__(self) -> None:
        self._n_numbers = 0
        self._n_values = 0

    def spend(self, event: str, depth: int) -> None:
        """Count a value.

        Raises
        ------
        _LimitError
            If it is one too many, or lies too deep.
        """
        if event == "number":
            self._n_numbers += 1
            if self._n_numbers > 2 * MAXIMUM_POINTS:
                raise _LimitError(f"it has more than {MAXIMUM_POINTS} points")
        elif event not in {"start_array", "end_array"}:
            self._n_values += 1
            if self._n_values > MAXIMUM_VALUES:
                raise _LimitError(f"it has more than {MAXIMUM_VALUES} values beside its points")
        elif depth > MAXIMUM_DEPTH:
            raise _LimitError("it is nested too deeply")


def _value(tokens: _Tokens, event: str, value: Any, budget: _Budget) -> Any:  # noqa: ANN401  # JSON
    """Return the value whose first token was just taken."""
    budget.spend(event, tokens.depth)
    if event == "start_map":
        found = {}
        while (key := tokens.take()[1]) is not None:
            found[key] = _value(tokens, *tokens.take(), budget)
        return found
    if event == "start_array":
        entries = []
        while (token := tokens.take())[0] != "end_array":
            entries.append(_value(tokens, *token, budget))
        return entries
    return value


class _Readable(Protocol):
    def read(self, n_bytes: int, /) -> bytes: ...


@contextmanager
def _opened(path: Path) -> Iterator[_Readable]:
    """Open a file, unpacked if it is compressed, whatever its name says."""
    with path.open("rb") as raw:
        if raw.read(2) == b"\x1f\x8b":
            raw.seek(0)
            with gzip.open(raw) as unpacked:
                yield unpacked
        else:
            _require_size(path, path.stat().st_size)
            raw.seek(0)
            yield raw


def _require_size(path: Path, n_bytes: int) -> None:
    if n_bytes > MAXIMUM_MB * 2**20:
        raise AnnotationError(
            f"{path}: more than {MAXIMUM_MB} MB of JSON. Export the annotations alone, without "
            f"detections and measurements, or fewer of them."
        )


_BOM = b"\xef\xbb\xbf"
_STRING_OR_NUMBER = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)|-?(?:NaN|Infinity)', re.DOTALL)
_STRING_END = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*(?:"|\Z)', re.DOTALL)
_ESCAPED = re.compile(rb"\\.", re.DOTALL)


class _Cleaned:
    """A stream within a limit, with null for the numbers that JSON does not have."""

    def __init__(self, path: Path, stream: IO[bytes] | _Readable) -> None:
        self._path = path
        self._stream = stream
        self._n_read = 0
        self._waiting = b""
        self._in_string = False

    def read(self, n_bytes: int) -> bytes:
        """Return about so many bytes, none at the end."""
        while n_bytes:
            chunk = self._stream.read(n_bytes)
            if self._n_read == 0:
                chunk = chunk.removeprefix(_BOM)
            self._n_read += len(chunk)
            _require_size(self._path, self._n_read)
            whole = self._waiting + chunk
            # A comma neither is part of a number nor follows the backslash of an escape.
            end = whole.rfind(b",") + 1 if chunk else len(whole)
            self._waiting = whole[end:]
            if len(self._waiting) > MAXIMUM_TOKEN_BYTES:
                raise AnnotationError(f"{self._path}: holds a text too long for any name.")
            if end or not chunk:
                return self._clean(whole[:end])
        return b""

    def _clean(self, piece: bytes) -> bytes:
        if b"NaN" in piece or b"Infinity" in piece:
            rest = _STRING_END.match(piece) if self._in_string else None
            start = rest.end() if rest else 0
            cleaned = piece[:start] + _STRING_OR_NUMBER.sub(_null, piece[start:])
        else:
            cleaned = piece
        quotes = _ESCAPED.sub(b"", piece) if b"\\" in piece else piece
        self._in_string ^= bool(quotes.count(b'"') % 2)
        return cleaned


def _null(match: re.Match[bytes]) -> bytes:
    text = match.group()
    return text if text.startswith(b'"') else b"null"
