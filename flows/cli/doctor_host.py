"""What ``signetflow doctor`` looks at in a worker's host: GPUs, memory, whose files these are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.cli.checks import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.layout import Workspace

COMFORTABLE_MEMORY = 4 * 2**30
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # the kernel's own, nothing is made there
COMFORTABLE_SHARED = 2**30
FREE_PART = 0.5
"""Of a GPU's memory; less, and somebody else works there."""


def check_gpu(probed: dict[str, Any]) -> Check:
    """See whether there are GPUs, whether torch can use them, and whether they are free."""
    from models.runtime import cuda_capability

    cards = probed.get("cards") or []
    if not cards:
        if cuda_capability() is None:
            return Check("gpu", "ok", "none; networks run on the CPU")
        advice = "install a CUDA build of torch, or update the driver (see nvidia-smi)."
        return Check("gpu", "warn", "the driver shows one that torch cannot use", advice)
    seen = "; ".join(
        f"{number} {one['name']}, {one['free'] / 2**30:.0f} of {one['total'] / 2**30:.0f} GiB free"
        for number, one in enumerate(cards)
    )
    broken = [f"{number}: {one['error']}" for number, one in enumerate(cards) if one["error"]]
    if broken:
        advice = f"torch cannot compute there ({'; '.join(broken)}); see nvidia-smi and dmesg."
        return Check("gpu", "fail", seen, advice)
    taken = [number for number, one in enumerate(cards) if one["free"] < FREE_PART * one["total"]]
    if taken:
        advice = f"GPU {taken} is in use: by a run of ours, or by what nvidia-smi names."
        return Check("gpu", "warn", seen, advice)
    return Check("gpu", "ok", seen)


def check_memory(shared_memory: Path = SHARED_MEMORY) -> Check:
    """See how much memory is free, and what processes of a training can share."""
    import psutil

    free = psutil.virtual_memory().available
    seen = f"{free / 2**30:.1f} GiB free"
    shared = shutil.disk_usage(shared_memory).free if shared_memory.is_dir() else None
    if shared is not None:
        seen += f", {shared / 2**30:.1f} GiB to share in {shared_memory}"
    if free < COMFORTABLE_MEMORY:
        advice = (
            "end what else runs here, or take smaller training.batch and windows: the kernel kills "
            "a run that goes beyond."
        )
        return Check("memory", "warn", seen, advice)
    if shared is not None and shared < COMFORTABLE_SHARED:
        advice = "training passes data there: SIGNETFLOW_SHM of compose, or mount it larger."
        return Check("memory", "warn", seen, advice)
    return Check("memory", "ok", seen)


def check_permissions(at: Workspace) -> Check:
    """See whether this user can write what others have made in the workspace, and should."""
    if not at.root.is_dir():
        return Check("permissions", "ok", "the workspace is made by the first command")
    owner = at.root.stat().st_uid
    refused = [str(path.relative_to(at.root)) for path in _written_to(at) if not _writable(path)]
    if refused:
        shown = ", ".join(refused[:3]) + (f" and {len(refused) - 3} more" * (len(refused) > 3))
        advice = f"work as the owner {_user(owner)}, or: chown -R {_user(owner)} {at.root}"
        return Check("permissions", "fail", f"{_user(os.getuid())} cannot write {shown}", advice)
    if os.getuid() == 0 and owner:
        advice = f"what root makes there shuts {_user(owner)} out: runuser -u {_user(owner)} -- ..."
        return Check("permissions", "warn", f"you are root, it is {_user(owner)}'s", advice)
    return Check("permissions", "ok", f"{_user(os.getuid())} can write it")


def _written_to(at: Workspace) -> Iterator[Path]:
    """Yield what a run writes to, as far as it is there."""
    from storage.layout import Kind

    yield at.root
    for folder in (at.ledger, at.ledger / "locks", *(at.root / kind for kind in Kind)):
        if folder.is_dir():
            yield folder
    yield from (path for path in at.ledger.glob("*") if path.is_file())


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0))


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
