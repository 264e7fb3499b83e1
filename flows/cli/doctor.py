"""``signetflow doctor``: look at everything that a run needs, change nothing."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.cli.checks import Check
from flows.cli.doctor_host import check_gpu, check_memory, check_permissions
from flows.cli.doctor_servers import (
    check_mlflow,
    check_pools,
    check_prefect_server,
    check_server_clocks,
)
from flows.cli.output import JsonOption, WorkspaceOption, progress, say, table, write_json

if TYPE_CHECKING:
    import typer

    from storage.layout import Workspace

PROJECT = Path(__file__).resolve().parents[2]
COMFORTABLE_BYTES = 5 * 2**30
"""What a demo and a few runs take with their checkpoints."""
CLOCK_TOLERANCE_S = 5.0
TORCH_TIMEOUT_S = 180
ENCODERS = ("models--smp-hub--resnet34.imagenet", "models--timm--dla34.in1k")
"""Folders of the hub's cache with the ImageNet weights of the preset `paper`."""
TORCH_PROBE = """
import json, torch, torchvision
from torchvision.ops import nms
nms(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([1.0]), 0.5)
cards = []
for number in range(torch.cuda.device_count()):
    properties, error, free = torch.cuda.get_device_properties(number), "", 0
    try:
        free = torch.cuda.mem_get_info(number)[0]
        torch.ones(64, 64, device=f"cuda:{number}").mm(torch.ones(64, 64, device=f"cuda:{number}"))
        torch.cuda.synchronize(number)
    except RuntimeError as problem:
        error = str(problem).splitlines()[0]
    cards.append({"name": properties.name, "total": properties.total_memory, "free": free,
        "error": error})
print(json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__,
    "cards": cards}))
"""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(doctor)


def doctor(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> int:
    """Check this machine, its packages, servers and the workspace; exit code 1 if a run would fail.

    Nothing is changed. A warning says what will be slower or missing.
    """
    from storage.layout import Workspace, default_root

    checks = examine(Workspace(workspace or default_root()))
    counts = Counter(check.verdict for check in checks)
    if as_json:
        write_json({"ok": not counts["fail"], "checks": [check._asdict() for check in checks]})
    else:
        _show(checks)
        say(f"{counts['ok']} ok, {counts['warn']} warn, {counts['fail']} fail")
    return 1 if counts["fail"] else 0


def examine(at: Workspace) -> list[Check]:
    """Return every check of this machine and workspace, in the order in which to mend them."""
    from flows.dispatch import look

    with progress("importing torch") as advance:
        advance(0, 1)
        probed = probe_torch()
    return [
        check_python(),
        check_packages(),
        check_pins(PROJECT / "requirements.txt"),
        check_prefect_pair(),
        check_torch_pair(probed),
        check_cpu(),
        check_gpu(probed),
        check_memory(),
        check_folder(at),
        check_permissions(at),
        check_disk(at),
        check_clock(at),
        check_mlflow(at),
        check_prefect_server(),
        check_server_clocks(at),
        *check_pools(look(), len(probed.get("cards") or [])),
        check_weights(),
    ]


def _show(checks: list[Check]) -> None:
    table("", ["check", "", "seen"], [[c.name, c.verdict, c.seen] for c in checks])
    for check in checks:
        if check.advice:
            say(f"{check.verdict}: {check.name}: {check.advice}")


def check_python() -> Check:
    """Compare the interpreter with what the project asks for."""
    from packaging.specifiers import SpecifierSet

    wanted = metadata.metadata("signetflow")["Requires-Python"]
    seen = f"{platform.python_version()} ({sys.executable})"
    if platform.python_version() in SpecifierSet(wanted):
        return Check("python", "ok", seen)
    advice = f"use a Python {wanted}; dev.py makes the environment."
    return Check("python", "fail", seen, advice)


def check_packages(requires: list[str] | None = None) -> Check:
    """Compare what is installed with the bounds of pyproject.toml."""
    wanted = metadata.requires("signetflow") if requires is None else requires
    wrong = _mismatches(wanted or [])
    if not wrong:
        return Check("packages", "ok", f"{len(wanted or [])} direct dependencies fit")
    advice = "python3.11 dev.py rebuilds the environment from requirements.txt."
    return Check("packages", "fail", "; ".join(wrong), advice)


def check_pins(path: Path) -> Check:
    """Compare what is installed with the pinned versions, which are the tested ones."""
    if not path.is_file():
        return Check("pins", "warn", f"no {path.name} beside the code", "check the pins by hand.")
    lines = [line.strip() for line in path.read_text().splitlines()]
    pins = [line for line in lines if line and line[0] not in "#-"]
    wrong = _mismatches(pins)
    if not wrong:
        return Check("pins", "ok", "every package has its pinned version")
    more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return Check(
        "pins", "warn", "; ".join(wrong[:5]) + more,
        "these versions were not tested together; pip install -r requirements.txt.",
    )  # fmt: skip


def _mismatches(requirements: list[str]) -> list[str]:
    from packaging.requirements import Requirement

    found = []
    for requirement in map(Requirement, requirements):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            what = version or "missing"
            found.append(f"{requirement.name} {what}, wanted {requirement.specifier}")
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_prefect_pair() -> Check:
    """See whether this FastAPI is one that this Prefect can run flows with."""
    from packaging.version import Version

    prefect, fastapi = _version("prefect"), _version("fastapi")
    if prefect is None or fastapi is None:
        return Check("prefect pair", "fail", "not installed", "pip install -r requirements.txt.")
    seen = f"prefect {prefect} with fastapi {fastapi}"
    if Version(prefect) < Version("3.9") and Version(fastapi) >= Version("0.155"):
        advice = "every flow run would fail; pip install 'fastapi>=0.139,<0.155'."
        return Check("prefect pair", "fail", seen, advice)
    return Check("prefect pair", "ok", seen)


def probe_torch() -> dict[str, Any]:
    """Import torch and torchvision in a child; return what they see, or the error."""
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and text
            [sys.executable, "-c", TORCH_PROBE],
            capture_output=True, text=True, check=False, timeout=TORCH_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {TORCH_TIMEOUT_S} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {"error": lines[-1]}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def check_torch_pair(probed: dict[str, Any]) -> Check:
    """See whether torchvision's operators fit this torch."""
    if "error" in probed:
        advice = "torch and torchvision are a pair; pip install -r requirements.txt."
        return Check("torch pair", "fail", probed["error"], advice)
    seen = f"torch {probed['torch']} with torchvision {probed['torchvision']}, nms runs"
    return Check("torch pair", "ok", seen)


def check_cpu() -> Check:
    """See how many cores there are, and whether they multiply bf16."""
    from models.runtime import physical_cores, resolve
    from models.runtime_settings import RuntimeSettings

    cores = f"{physical_cores()} cores"
    if resolve(RuntimeSettings(device="cpu")).precision == "bf16":
        return Check("cpu", "ok", f"{cores}, bf16")
    advice = "networks run in fp32 here, 4 to 6 times slower than with bf16."
    return Check("cpu", "warn", f"{cores}, no bf16", advice)


def check_folder(at: Workspace) -> Check:
    """Try in the workspace, or where it would be made, all that a run does there."""
    from storage.observed import existing

    place = existing(at.root)
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=place) as folder:
            (Path(folder) / "a").write_text("signetflow")
            (Path(folder) / "b").hardlink_to(Path(folder) / "a")
            with (Path(folder) / "a").open() as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        advice = "give a folder of a local POSIX disk with --workspace or SIGNETFLOW_WORKSPACE."
        return Check("workspace", "fail", f"{place}: {error.strerror}", advice)
    made = "" if place == at.root.absolute() else " (made by the first command)"
    return Check("workspace", "ok", f"{at.root.absolute()}{made}: writes, links and locks")


def check_disk(at: Workspace) -> Check:
    """See how much room the workspace has."""
    from storage.layout import MINIMUM_FREE_BYTES
    from storage.observed import existing

    free = shutil.disk_usage(existing(at.root)).free
    seen = f"{free / 2**30:.1f} GiB free"
    if free >= COMFORTABLE_BYTES:
        return Check("disk", "ok", seen)
    return Check(
        "disk", "warn" if free >= MINIMUM_FREE_BYTES else "fail", seen,
        f"make room or move the workspace; {COMFORTABLE_BYTES / 2**30:.0f} GiB are comfortable.",
    )  # fmt: skip


def check_clock(at: Workspace) -> Check:
    """Compare the clock with what was written before, and with the disk's own."""
    from storage.observed import existing

    written = [Path(__file__), at.ledger / "ledger.db"]
    behind = max(path.stat().st_mtime for path in written if path.exists()) - time.time()
    if behind > CLOCK_TOLERANCE_S:
        return Check(
            "clock", "fail", f"{behind:.0f} s behind files that are already written",
            "set the clock (timedatectl set-ntp true): times in the ledger would go backwards.",
        )  # fmt: skip
    apart = _disk_clock_offset(existing(at.root))
    if apart is not None and abs(apart) > CLOCK_TOLERANCE_S:
        return Check(
            "clock", "warn", f"the disk's clock is {apart:+.0f} s from this machine's",
            "synchronise both; artefacts are checked by their times first.",
        )  # fmt: skip
    now = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime())
    return Check("clock", "ok", now)


def _disk_clock_offset(place: Path) -> float | None:
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"signetflow")
            probe.flush()
            return os.fstat(probe.fileno()).st_mtime - time.time()
    except OSError:
        return None


def check_weights() -> Check:
    """See whether the ImageNet weights of the larger presets are in the hub's cache."""
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE", f"{home}/hub")).expanduser()
    there = [name for name in ENCODERS if (cache / name / "snapshots").is_dir()]
    names = ", ".join(name.rpartition("--")[2] for name in there)
    if len(there) == len(ENCODERS):
        return Check("weights", "ok", f"{names} in {cache}")
    missing = ", ".join(name.rpartition("--")[2] for name in ENCODERS if name not in there)
    return Check(
        "weights", "warn", f"not in {cache}: {missing}",
        "the demo needs none; preset paper downloads them once, or set networks.<name>.weights.",
    )  # fmt: skip
