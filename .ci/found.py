"""Read what pytest found out of a JUnit report.

``python .ci/found.py skipped JUNIT_XML ALLOWED`` fails when a test was skipped that the written
list does not name. ``python .ci/found.py failed JUNIT_XML`` prints the tests that failed, as pytest
takes them.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def cases(report: Path) -> Iterator[tuple[str, str, ET.Element]]:
    """Yield the module of each test of a report, its name, and what the report says of it."""
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  # pytest wrote it just now
        # Where tests run side by side, xdist adds the test's group: name@group.
        yield str(case.get("classname")), re.sub(r"@[^@\]]*$", "", str(case.get("name"))), case


def failed(report: Path) -> list[str]:
    """Return the tests that failed or broke."""
    return [
        f"{module.replace('.', '/')}.py::{name}"
        for module, name, case in cases(report)
        if case.find("failure") is not None or case.find("error") is not None
    ]


def skipped(report: Path) -> dict[str, str]:
    """Return the skipped tests of a report, with the reason each one gave."""
    return {
        f"{module}::{name}": skip.get("message") or "no reason"
        for module, name, case in cases(report)
        for skip in case.iter("skipped")
    }


def allowed(listed: Path) -> set[str]:
    """Return the names on the list; blank lines and lines that begin with # are for people."""
    lines = (line.strip() for line in listed.read_text(encoding="utf-8").splitlines())
    return {line.partition(" # ")[0].strip() for line in lines if line and line[0] != "#"}


def main(argv: list[str]) -> int:
    """Print what was asked for; return 1 if a test must not be skipped."""
    what, report, *listed = argv
    if what == "failed":
        print(*dict.fromkeys(failed(Path(report))), sep="\n")
        return 0
    known = allowed(Path(listed[0]))
    unknown = {name: why for name, why in skipped(Path(report)).items() if name not in known}
    for name, why in sorted(unknown.items()):
        print(f"skipped, and not in {listed[0]}: {name} ({why})")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
