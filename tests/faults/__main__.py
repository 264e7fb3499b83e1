"""Plant faults one by one in a copy of the tree, and demand that a test fails of each.

Run with ``python -m tests.faults``; words choose faults that have one in their name, path or tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from signal import SIGKILL

from tests.faults.planted import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[2]
FAILED_TESTS = 1
"""The exit code of pytest when tests failed, and nothing worse."""
LIMIT_S = 600
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


def copy_of_the_tree(folder: Path) -> Path:
    """Return a copy of all files that git knows, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    copy = folder / "tree"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    return copy


def planted(text: str, fault: Fault) -> str:
    """Return a file's text with the fault in it."""
    if text.count(fault.old) != 1:
        raise SystemExit(f"{fault.path}: {text.count(fault.old)} times in it: {fault.old!r}")
    return text.replace(fault.old, fault.new)


def run_tests(copy: Path, tests: tuple[str, ...]) -> tuple[int, str]:
    """Return the exit code of the tests, 124 if they hang, and what they said."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider"]
    # Two versions of a file within one second and of one size would share their byte code.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        [*command, "-m", "not slow", *tests], cwd=copy, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as running:  # fmt: skip
        try:
            said, _ = running.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, SIGKILL)
            return 124, running.communicate()[0]
    return running.returncode, said


def noticed_by(copy: Path, fault: Fault) -> tuple[str, str]:
    """Return the test that failed of the fault, empty if none did, and what pytest said."""
    path = copy / fault.path
    sound = path.read_text(encoding="utf-8")
    path.write_text(planted(sound, fault), encoding="utf-8")
    try:
        code, said = run_tests(copy, fault.tests)
    finally:
        path.write_text(sound, encoding="utf-8")
    failed = _FAILED.findall(said)
    return failed[0] if code == FAILED_TESTS and failed else "", f"exit code {code}\n{said[-3000:]}"


def main() -> int:
    """Run every fault that was asked for, print a table, and return how many went unnoticed."""
    words = sys.argv[1:]
    chosen = [
        one for one in FAULTS
        if not words or any(word in " ".join((one.name, one.path, *one.tests)) for word in words)
    ]  # fmt: skip
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        copy = copy_of_the_tree(Path(folder))
        every = tuple(sorted({test for one in chosen for test in one.tests}))
        code, said = run_tests(copy, every)
        if code:
            print(f"{said[-4000:]}\nThe tests fail without any fault: they prove nothing.")
            return 1
        print(f"{len(every)} files of tests pass without a fault.\n")
        print("| | fault | in | the test that noticed | s |\n|---|---|---|---|---|", flush=True)
        for number, one in enumerate(chosen, 1):
            began = time.monotonic()
            test, said = noticed_by(copy, one)
            if not test:
                missed.append(f"{one.name}: {said}")
            shown = f"`{test}`" if test else "**none**"
            seconds = time.monotonic() - began
            print(f"| {number} | {one.name} | `{one.path}` | {shown} | {seconds:.0f} |", flush=True)
    print(
        "", f"{len(chosen) - len(missed)} of {len(chosen)} faults were noticed.", *missed, sep="\n"
    )
    return len(missed)


if __name__ == "__main__":
    sys.exit(min(main(), 100))
