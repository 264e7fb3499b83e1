"""What ``signetflow doctor`` looks at in servers: do they answer, fit and agree on the time."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from importlib import metadata
from typing import TYPE_CHECKING

from flows.cli.checks import Check

if TYPE_CHECKING:
    from flows.dispatch import Dispatch
    from storage.layout import Workspace

SKEW_TOLERANCE_S = 5.0
"""Beyond this, heartbeats come too late or leases seem to have ended."""


def check_mlflow(at: Workspace) -> Check:
    """See whether the tracking server answers and fits; the work goes on without it."""
    from storage.tracking.address import problem_reaching, server_version, shown, tracking_uri

    uri = tracking_uri(at)
    if uri == at.mlflow_uri:
        return Check("mlflow", "ok", "embedded in the workspace")
    problem = problem_reaching(uri)
    if problem:
        advice = "runs go on and deliver later; start it or unset MLFLOW_TRACKING_URI."
        return Check("mlflow", "warn", f"{shown(uri)}: {problem}", advice)
    return _matching("mlflow", shown(uri), server_version(uri), metadata.version("mlflow"))


def check_prefect_server() -> Check:
    """See whether the Prefect server answers and fits, if one is named."""
    from storage.tracking.address import problem_reaching, shown

    uri = os.environ.get("PREFECT_API_URL", "")
    if not uri:
        return Check("prefect", "ok", "embedded, started and stopped with each run")
    problem = problem_reaching(uri)
    if problem:
        advice = "start it (signetflow ops serve) or unset PREFECT_API_URL."
        return Check("prefect", "fail", f"{shown(uri)}: {problem}", advice)
    version = _prefect_version(uri)
    return _matching("prefect", shown(uri), version, metadata.version("prefect"))


def _matching(name: str, address: str, theirs: str | None, ours: str) -> Check:
    """Compare a server's version with ours: both come from one lock file."""
    seen = address + (f", version {theirs}" if theirs else "")
    if theirs is None or theirs.split(".")[:2] == ours.split(".")[:2]:
        return Check(name, "ok", seen)
    advice = f"here is {ours}: install the same requirements.txt on both sides and start it again."
    return Check(name, "warn", seen, advice)


def _prefect_version(uri: str) -> str | None:
    from storage.tracking.address import PROBE_TIMEOUT_S, below

    asked = below(uri, "/admin/version")
    try:
        with urllib.request.urlopen(asked, timeout=PROBE_TIMEOUT_S) as answer:  # noqa: S310  # http(s), named by the user
            said = json.loads(answer.read(100))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, str) else None


def check_server_clocks(at: Workspace) -> Check:
    """Compare this clock with the one of each server, which stamps its answers."""
    from storage.tracking.address import tracking_uri

    asked = {"prefect": os.environ.get("PREFECT_API_URL", ""), "mlflow": tracking_uri(at)}
    skews = {name: skew(uri) for name, uri in asked.items() if uri.startswith("http")}
    known = {name: value for name, value in skews.items() if value is not None}
    if not known:
        return Check("server clocks", "ok", "no server to compare with")
    seen = ", ".join(f"{name} {value:+.0f} s" for name, value in known.items())
    if all(abs(value) <= SKEW_TOLERANCE_S for value in known.values()):
        return Check("server clocks", "ok", seen)
    advice = (
        "synchronise both hosts (timedatectl set-ntp true): schedules begin at the server's time, "
        "and a run whose heartbeats seem old is marked crashed."
    )
    return Check("server clocks", "fail", seen, advice)


def skew(uri: str) -> float | None:
    """Return by how many seconds a server's clock is ahead of this one; None if it does not say."""
    from storage.tracking.address import PROBE_TIMEOUT_S, below

    try:
        with urllib.request.urlopen(below(uri, "/health"), timeout=PROBE_TIMEOUT_S) as answer:  # noqa: S310  # http(s), named by the user
            said = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        said = error.headers.get("Date")
    except (OSError, ValueError):
        return None
    # The header has whole seconds: on average it is half a second old when it is sent.
    return parsedate_to_datetime(said).timestamp() + 0.5 - time.time() if said else None


def check_pools(known: Dispatch, n_cards: int) -> list[Check]:
    """See whether the pools are there, manned and open, and have the GPUs that they name."""
    if known.problem:
        seen = known.problem if known.url else "no server is named"
        return [Check("pools", "ok", f"not looked at: {seen}")]
    if not known.pools:
        advice = "signetflow ops bootstrap makes them, with the deployments."
        return [Check("pools", "warn", "none", advice)]
    scheduled = {one.pool for one in (*known.late, *known.waiting)}
    return [
        _pool(one.name, one.gpu, n_cards, one.workers, one.is_paused, one.name in scheduled)
        for one in known.pools
    ]


def _pool(
    name: str, gpu: str | None, n_cards: int, workers: tuple[str, ...], paused: bool, wanted: bool
) -> Check:
    manned = f"worker {', '.join(workers)}" if workers else "no worker"
    shows = f", GPU {gpu}" if gpu else ""
    called, seen = f"pool {name}", f"{manned}{shows}{', paused' if paused else ''}"
    if gpu and gpu.isdigit() and int(gpu) >= n_cards:
        fewer = f", or signetflow ops bootstrap --gpus {n_cards}" * bool(n_cards)
        advice = (
            f"torch can use {n_cards} GPUs here, so that runs of this pool use the CPU: mend the "
            f"driver (nvidia-smi){fewer}. Nothing is to be done if its workers are elsewhere."
        )
        return Check(called, "warn", seen, advice)
    if paused:
        return Check(called, "warn", seen, f"prefect work-pool resume {name}")
    if not workers and wanted:
        advice = f"runs wait for it: prefect worker start --pool {name} --limit 1"
        return Check(called, "fail", seen, advice)
    return Check(called, "ok", seen)
