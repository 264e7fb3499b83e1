"""The shipped file of deployments: what it lists, how it is deployed, what that changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from models.errors import OperationsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from prefect.client.schemas.responses import DeploymentResponse

PREFECT_FILE = Path(__file__).resolve().parents[1] / "deployments" / "prefect.yaml"
TIMEOUT_S = 300


def wanted_deployments() -> dict[str, dict[str, Any]]:
    """Return the deployments of the shipped file, by ``flow/name``."""
    listed = yaml.safe_load(PREFECT_FILE.read_text(encoding="utf-8"))["deployments"]
    return {f"{one['entrypoint'].rpartition(':')[2]}/{one['name']}": one for one in listed}


def deploy() -> None:
    """Have Prefect deploy the shipped file.

    Raises
    ------
    OperationsError
        If it refuses.
    """
    command = ["-m", "prefect", "--no-prompt", "deploy", "--all"]
    command += ["--prefect-file", PREFECT_FILE.name]
    done = subprocess.run(  # noqa: S603  # our own interpreter and a fixed command
        [sys.executable, *command], cwd=PREFECT_FILE.parent, capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise OperationsError(f"prefect deploy refused {PREFECT_FILE.name}: {said}")


def is_changed(before: DeploymentResponse, after: DeploymentResponse) -> bool:
    """Return whether deploying has changed a deployment."""
    fields = {
        "entrypoint", "parameters", "parameter_openapi_schema", "description", "work_pool_name",
        "tags", "concurrency_options", "pull_steps", "job_variables",
    }  # fmt: skip
    return bool(before.model_dump(include=fields) != after.model_dump(include=fields))


def would_change(listed: Mapping[str, Any], before: DeploymentResponse, renewed: Set[str]) -> bool:
    """Return whether deploying would change a deployment, as far as the file shows it.

    Parameters
    ----------
    listed
        What the file says of it.
    before
        What the server has.
    renewed
        Variables that would get another value.
    """
    text = json.dumps(listed)
    if any(f"prefect.variables.{name} " in text for name in renewed):
        return True
    said = {name: listed[name] for name in ("entrypoint", "description", "tags")}
    return said != before.model_dump(include=set(said))
