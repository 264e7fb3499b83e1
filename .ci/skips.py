"""Fail when a test was skipped that the written list does not name.

Run as ``python .ci/skips.py JUNIT_XML ALLOWED``.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def skipped(report: Path) -> dict[str, str]:
    """Return the skipped tests of a JUnit report, with the reason each one gave."""
    found = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  # pytest wrote it just now
        for skip in case.iter("skipped"):
            # Where tests run side by side, xdist adds the test's group: name@group.
            test = re.sub(r"@[^@\]]*$", "", str(case.get("name")))
            name = f"{case.get('classname')}::{test}"
            found[name] = skip.get("message") or "no reason"
    return found


def allowed(listed: Path) -> set[str]:
    """Return the names on the list; blank lines and lines that begin with # are for people."""
    lines = (line.strip() for line in listed.read_text(encoding="utf-8").splitlines())
    return {line.partition(" # ")[0].strip() for line in lines if line and line[0] != "#"}


def main(argv: list[str]) -> int:
    """Print what must not be skipped; return 1 if there is any."""
    report, listed = map(Path, argv)
    known = allowed(listed)
    unknown = {name: why for name, why in skipped(report).items() if name not in known}
    for name, why in sorted(unknown.items()):
        print(f"skipped, and not in {listed}: {name} ({why})")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
