"""The GPUs of this host, as its driver tells."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

FIELDS = "index,name,memory.used,memory.total,utilization.gpu"
TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU."""

    index: str
    name: str
    used: int
    """Bytes of its memory."""
    total: int
    busy_percent: int | None

    def __str__(self) -> str:
        busy = "" if self.busy_percent is None else f", {self.busy_percent} % busy"
        return (
            f"GPU {self.index} {self.name}: {self.used / 2**30:.1f} of "
            f"{self.total / 2**30:.1f} GiB used{busy}"
        )


def gpus() -> tuple[Gpu, ...]:
    """Return the GPUs of this host; none where no driver answers."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    asked = [f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(  # noqa: S603  # the driver's own program
            [command, *asked], capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parsed(done.stdout) if not done.returncode else ()


def parsed(text: str) -> tuple[Gpu, ...]:
    """Return what the driver's program printed; lines that it could not fill are left out."""
    found = []
    for line in text.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) < len(FIELDS.split(",")):
            continue
        index, *name, used, total, busy = words
        if used.isdigit() and total.isdigit():
            percent = int(busy) if busy.isdigit() else None
            sizes = int(used) * 2**20, int(total) * 2**20
            found.append(Gpu(index, ", ".join(name), *sizes, percent))
    return tuple(found)
