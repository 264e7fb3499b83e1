"""Small changes of valid files: of bytes, of JSON values, of XML texts and attributes."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

ODD_BYTES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xfe")
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 255, 65536, 2**31, 2**63, -(2**63), 10**30, 1e308,
    -1e308, float("nan"), float("inf"), float("-inf"), "", "0", "NaN", "1e999", "../../etc/passwd",
    "/dev/zero", "\x00", "\n\x1b[31m", "\ud800", "a" * 3000, [], {}, [[]], [None], {"": None},
    [0, 0], [[0, 0]] * 3,
)  # fmt: skip
ODD_TEXTS = (
    "", "0", "-1", "1", "1e308", "1e999", "-1e999", "nan", "inf", "99999999999999999999", "0x10",
    "\u0661\u0662", "1_000", " 5 ", "5,5", "true", "a" * 2000, "&lt;", "\u202e", "..",
    "/dev/zero", "#", "\t",
)  # fmt: skip
XML_ATTACKS = (
    b'<!DOCTYPE a [<!ENTITY b "c">]>', b'<!DOCTYPE a SYSTEM "file:///etc/passwd">', b"<?php ?>",
    b"<![CDATA[x]]>", b"<a>" * 500, b"\xef\xbb\xbf", b"&b;", b"<!--", b'<?xml version="1.1"?>',
)  # fmt: skip


def changed_bytes(data: bytes, random: Random) -> bytes:
    """Return bytes with one to four places flipped, cut, doubled or replaced."""
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data) + 1)
        length = random.choice((1, 1, 2, 4, 16, 256))
        what = random.randrange(7)
        if what == 0:
            data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
        elif what == 1:
            data = data[:at] + random.choice(ODD_BYTES) + data[at + 1 :]
        elif what == 2:
            odd = random.choice(ODD_BYTES)
            data = data[:at] + odd + data[at + len(odd) :]
        elif what == 3:
            data = data[:at] + data[at + length :]
        elif what == 4:
            data = data[:at] + data[at : at + length] * random.randint(2, 4) + data[at + length :]
        elif what == 5:
            start = random.randrange(len(data) + 1)
            data = data[:at] + data[start : start + length] + data[at + length :]
        else:
            data = data[:at]
    return data


def changed_json(data: bytes, random: Random) -> bytes:
    """Return JSON in which one to three values are odd, gone, doubled or nested deeply."""
    try:
        value = json.loads(data)
        for _ in range(random.randint(1, 3)):
            value = _changed_value(value, random)
        text = json.dumps(value, ensure_ascii=random.random() < 0.7)
    except (ValueError, RecursionError):  # no JSON, or nested too deeply to change
        return changed_bytes(data, random)
    return text.encode("utf-8", "surrogatepass")


def _changed_value(value: Any, random: Random) -> Any:  # anything JSON can hold
    places = list(_places(value))
    if not places:
        return deepcopy(random.choice(ODD_VALUES))
    holder, key = random.choice(places)
    what = random.randrange(6)
    if what == 0:
        del holder[key]
    elif what == 1 and isinstance(holder, list):
        holder.insert(key, deepcopy(holder[key]))
    elif what == 1:
        holder[random.choice(["", "id", "bbox", "x" * 50])] = deepcopy(holder[key])
    elif what == 2:
        nested: Any = holder[key]
        for _ in range(random.choice((1, 5, 100, 600))):
            nested = [nested] if random.random() < 0.5 else {"a": nested}
        holder[key] = nested
    elif what == 3 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * random.choice((-1, 0, 0.1, 10, 1e6, 1e300))
    else:
        holder[key] = deepcopy(random.choice(ODD_VALUES))
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return each list or object with each of its keys."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys = (
            list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        )
        found += [(one, key) for key in keys]
        waiting += [one[key] for key in keys]
    return found


def changed_xml(data: bytes, random: Random) -> bytes:
    """Return XML with an odd text or attribute, an element gone or doubled, or an attack."""
    what = random.randrange(5)
    if what == 0:
        at = random.choice([0, *(match.start() for match in re.finditer(rb"<", data))])
        return data[:at] + random.choice(XML_ATTACKS) + data[at:]
    pattern = (rb">([^<>]+)<", rb'="([^"]*)"', rb"(<(\w+)[^>]*>[^<]*</\2>)", rb"</?(\w+)")[what - 1]
    found = list(re.finditer(pattern, data))
    if not found:
        return changed_bytes(data, random)
    start, end = random.choice(found).span(1)
    if what == 3:
        return data[:start] + data[start:end] * random.choice((0, 2, 50)) + data[end:]
    odd = random.choice(ODD_TEXTS).encode("utf-8", "surrogatepass")
    return data[:start] + odd + data[end:]


def changed_yaml(data: bytes, random: Random) -> bytes:
    """Return YAML in which a value or a key is odd, or a line is gone or doubled."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    what = random.randrange(4)
    if what == 0:
        lines[at : at + 1] = [lines[at]] * random.choice((0, 2))
    elif what == 1 and b":" in lines[at]:
        odd = random.choice(
            (*ODD_TEXTS, "[]", "{}", "[1, [2]]", "&a [*a]", "!!python/object:os.x", "~")
        )
        lines[at] = lines[at].split(b":")[0] + b": " + odd.encode("utf-8", "surrogatepass")
    elif what == 2:
        lines[at] = b"  " + lines[at]
    else:
        return changed_bytes(data, random)
    return b"\n".join(lines)
