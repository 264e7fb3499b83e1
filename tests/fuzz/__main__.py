"""Fuzz one parser for a while: ``python -m tests.fuzz coco --seconds 600 --keep FOLDER``.

Case n is drawn from (seed, n) and from the inputs so far that led to something new, so the same
seed and number of cases give the same inputs. Prints one JSON object; exit code 1 if one was wrong.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn

from models.errors import SignetflowError
from tests.fuzz.mutation import changed_bytes
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

MEMORY_BYTES = 2 << 30
MOST_RESIDENT_BYTES = 1 << 30
HANG_S = 10.0
"""Of processor time: a busy machine is no fault of the file."""
WAIT_S = 120.0
"""By the clock."""


class HangError(BaseException):
    """A case takes too long; nothing may catch it."""


@dataclass
class Run:
    """What fuzzing found."""

    seeds: int = 0
    cases: int = 0
    """With the seeds."""
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    kinds: set[str] = field(default_factory=set)
    """Of outcomes, without the names and numbers in them."""
    wrong: list[dict[str, Any]] = field(default_factory=list)


def fuzz(target: Target, seed: int, seconds: float, cases: int | None, keep: Path | None) -> Run:
    """Return what came of changed files, until time or cases are over or three were wrong."""
    pool = target.seeds()
    run = Run(seeds=len(pool))
    for one in pool:  # valid files must be read
        _case(run, target, one, keep)
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(run.wrong) < 3:
        if cases is not None and run.cases >= cases:
            break
        random = Random(f"{seed}-{run.cases}")  # noqa: S311  # no secret
        mutate = changed_bytes if random.random() < 0.15 else target.mutate
        data = mutate(random.choice(pool), random)
        if _case(run, target, data, keep) and len(data) < 1 << 20:
            pool.append(data)
    return run


def _case(run: Run, target: Target, data: bytes, keep: Path | None) -> bool:
    """Try one input; return whether it led to something new."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    started = time.monotonic()
    signal.setitimer(signal.ITIMER_PROF, HANG_S)
    signal.setitimer(signal.ITIMER_REAL, WAIT_S)
    try:
        kind = f"accepted {_without_names(target.read(data, folder) or '')}"
        run.accepted += 1
    except SignetflowError as error:
        kind = f"{type(error).__name__} {_without_names(str(error))}"
        run.refused += 1
    except BaseException as error:  # whatever it is, it is wrong
        if isinstance(error, KeyboardInterrupt):
            raise
        kind = f"wrong: {type(error).__name__} {_without_names(str(error))}"
        if kind not in run.kinds:
            run.wrong.append({"case": run.cases, "error": traceback.format_exc(limit=-6)})
            if keep is not None:
                (keep / f"case-{run.cases}").write_bytes(data)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        shutil.rmtree(folder, ignore_errors=True)
    run.slowest_s = max(run.slowest_s, time.monotonic() - started)
    run.cases += 1
    new = kind not in run.kinds
    run.kinds.add(kind)
    return new


def _without_names(text: str) -> str:
    return re.sub(r"/\S+|'[^']*'|[\d.e+-]+|[^\x20-\x7e]", "", text)[:200]


def _hang(*_: object) -> NoReturn:
    raise HangError(f"no result after {HANG_S} s of work or {WAIT_S} s of waiting")


def most_resident() -> int:
    """Return the most memory that this program ever had, in bytes.

    Not `resource.getrusage`: that begins with what the process was before it became this program.
    """
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


def main() -> int:
    """Fuzz the target that is named; return 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that were wrong")
    chosen = parser.parse_args()
    if chosen.keep:
        chosen.keep.mkdir(parents=True, exist_ok=True)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    for alarm in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(alarm, _hang)
    warnings.simplefilter("error")
    run = fuzz(TARGETS[chosen.target], chosen.seed, chosen.seconds, chosen.cases, chosen.keep)
    resident = most_resident()
    if resident > MOST_RESIDENT_BYTES:
        run.wrong.append({"case": run.cases, "error": f"{resident} bytes of memory"})
    answer = {
        "target": chosen.target, "seeds": run.seeds, "cases": run.cases, "accepted": run.accepted,
        "refused": run.refused, "kinds": len(run.kinds), "slowest_s": round(run.slowest_s, 2),
        "resident_mb": resident >> 20, "wrong": run.wrong,
    }  # fmt: skip
    sys.stdout.write(json.dumps(answer, indent=1) + "\n")
    return 1 if run.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
