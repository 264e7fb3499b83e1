"""Where a report's numbers come from: the data, the code and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.annotations import Role

if TYPE_CHECKING:
    from storage.layout import Workspace
    from storage.report.model import Refused
    from tasks.report import ReportInputs

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "signetflow", "torch", "torchvision", "segmentation-models-pytorch", "timm", "numpy", "scipy",
    "scikit-image", "opencv-python-headless", "zarr", "tiffslide", "pyarrow", "prefect", "mlflow",
)  # fmt: skip
GIT_TIMEOUT_S = 10


def versions() -> dict[str, str]:
    """Return the packages, the code and the machine that the page is made with."""
    found = {
        "Python": platform.python_version(),
        "processor": processor(Path("/proc/cpuinfo")),
        "processor cores": str(os.cpu_count()),
        "operating system": platform.platform(),
    }
    commit = git_commit(PROJECT)
    if commit:
        found["signetflow's git commit"] = commit
    return found | {name: version(name) for name in PACKAGES}


def processor(cpuinfo: Path) -> str:
    """Return what the processor calls itself."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "") or platform.processor() or platform.machine()


def git_commit(folder: Path) -> str:
    """Return the commit of a source tree, and whether files differ from it; empty without git."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    if not top or Path(top).resolve() != folder.resolve():
        return ""
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return _git(folder, "rev-parse", "HEAD") + (" and changes on top" if changed else "")


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # words of ours
            ["git", "-C", str(folder), *words],  # noqa: S607  # wherever it is installed
            capture_output=True, text=True, check=True, timeout=GIT_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def dataset_facts(at: Workspace, inputs: ReportInputs) -> dict[str, str]:
    """Return what is to be known of the dataset, in words."""
    from storage.datasets.registered import open_catalogue
    from storage.regions import open_regions

    known, source = open_catalogue(at, inputs.dataset), open_regions(at, inputs.regions)
    hidden = f"{known.hide:.0%} of the annotations, kept as truth" if known.hide else "none"
    roles = Counter(info.role for info in source.infos)
    marked = sum(len(source.annotations(info.region_id)) for info in source.infos)
    complete = [info for info in source.infos if info.complete and info.role != Role.NEGATIVE]
    truth = sum(len(source.truth(info.region_id) or ()) for info in complete)
    return {
        "name": known.name,
        "version": inputs.dataset.digest,
        "slides and images": f"{len(known.items):,}",
        "regions": ", ".join(f"{roles[role]:,} {role.value}" for role in Role),
        "cells that a person marked": f"{marked:,}",
        "cells of complete truth": f"{truth:,} in {len(complete):,} regions",
        "hidden on purpose": hidden,
        "kept together in hard folds": " or ".join(known.group_by),
        "folds": f"{known.n_folds}, drawn with seed {known.seed}",
    }


def refused(at: Workspace, inputs: ReportInputs) -> list[Refused]:
    """Return what was refused at ingest and when regions were cut."""
    from storage.regions import open_regions
    from storage.report.model import Refusal, Refused

    cut = open_regions(at, inputs.regions).refused
    items = tuple(Refusal(one.name, one.reason) for one in cut)
    return [_at_ingest(at, inputs), Refused("when regions were cut", len(cut), items)]


def _at_ingest(at: Workspace, inputs: ReportInputs) -> Refused:
    from storage.datasets.refusals import refusals_of
    from storage.report.model import Refusal, Refused

    known = refusals_of(at, inputs.dataset)
    if known is None:
        return Refused("at ingest", None)
    items = tuple(Refusal(one.name, one.reason) for one in known.items)
    return Refused("at ingest", known.count, items)


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as dotted names and texts."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = str(value)
    return found
